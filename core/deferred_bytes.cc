#include "core/deferred_bytes.h"

#include <algorithm>

namespace weft {

bool DeferredBytes::is_joined() const {
  const std::lock_guard lock(mutex_);
  return is_joined_;
}

const std::byte* DeferredBytes::joined() const {
  const std::lock_guard lock(mutex_);
  if (!is_joined_) {
    joined_ = AlignedBytes(size());
    constexpr size_t kStep = size_t{4} << 20;  // so that what is in memory twice is little
    for (size_t at = 0; at < size(); at += kStep) copy(at, std::min(kStep, size() - at), joined_.data() + at);
    is_joined_ = true;
  }
  return joined_.data();
}

}  // namespace weft

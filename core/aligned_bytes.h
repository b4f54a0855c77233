// A block of zeroed memory that begins on a cache line.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>

#include "core/error.h"

namespace weft {

// Pages are taken from the system when first touched, so a large block costs only what is used of it.
class AlignedBytes {
 public:
  static constexpr size_t kAlignment = 64;

  AlignedBytes() = default;
  // Throws Error where memory runs out.
  explicit AlignedBytes(size_t bytes) : bytes_(bytes), block_(std::calloc(bytes + kAlignment, 1)) {
    if (block_ == nullptr) throw Error("out of memory: a block of " + std::to_string(bytes) + " bytes was wanted");
    void* data = block_.get();
    size_t space = bytes + kAlignment;
    data_ = static_cast<std::byte*>(std::align(kAlignment, bytes, data, space));
  }

  std::byte* data() const { return data_; }
  size_t size() const { return bytes_; }

 private:
  struct Free {
    void operator()(void* block) const { std::free(block); }
  };
  size_t bytes_ = 0;
  std::unique_ptr<void, Free> block_;
  std::byte* data_ = nullptr;
};

}  // namespace weft

#include "gpu/weights.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "core/align.h"

namespace weft {
namespace {

constexpr size_t kChunk = size_t{4} << 20;  // bytes copied or packed on the host at a time: no weight is there twice

void upload_interleaved(GpuDevice& device, const Storage& storage, const Interleaved& to, const GpuBuffer& buffer) {
  const int64_t groups = to.shape().slices * to.groups();
  const auto per_chunk = static_cast<int64_t>(std::max<size_t>(kChunk / to.group_bytes(), 1));
  std::vector<std::byte> packed(static_cast<size_t>(std::min(per_chunk, groups)) * to.group_bytes());
  std::vector<std::byte> stored;  // of pieces
  for (int64_t first = 0; first < groups; first += per_chunk) {
    const int64_t count = std::min(per_chunk, groups - first);
    const size_t begin = to.stored_at(first), end = to.stored_at(first + count);
    to.pack_groups(storage.stored(begin, end - begin, stored), first, count, packed.data());
    device.upload(buffer, static_cast<size_t>(first) * to.group_bytes(), packed.data(),
                  static_cast<size_t>(count) * to.group_bytes());
  }
}

}  // namespace

std::shared_ptr<const GpuWeight> GpuWeights::get(GpuDevice& device, const std::shared_ptr<const Storage>& storage,
                                                 const ChosenLayout* chosen) {
  const Layout layout = chosen == nullptr ? kStored : chosen->layout;
  const MatrixShape shape = chosen == nullptr ? MatrixShape{} : chosen->shape;
  return weights_.find_or_make({storage.get(), layout, shape}, [&] {
    auto weight = std::make_shared<GpuWeight>();
    weight->storage = storage;
    if (chosen == nullptr) {
      weight->buffer = device.allocate(std::max(storage->bytes(), kCacheLine));
      std::vector<std::byte> copy;  // of pieces
      for (size_t at = 0; at < storage->bytes(); at += kChunk) {
        const size_t count = std::min(kChunk, storage->bytes() - at);
        device.upload(weight->buffer, at, storage->stored(at, count, copy), count);
      }
    } else {
      const Interleaved to(storage->format, layout, shape);
      weight->buffer = device.allocate(to.bytes());
      upload_interleaved(device, *storage, to, weight->buffer);
    }
    return weight;
  });
}

}  // namespace weft

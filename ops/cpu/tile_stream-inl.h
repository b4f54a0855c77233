// Reading what a TileSlot describes, in vectors. Included once per Highway target, like hwy/highway.h.
#if defined(WEFT_OPS_TILE_STREAM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WEFT_OPS_TILE_STREAM_INL_H_
#undef WEFT_OPS_TILE_STREAM_INL_H_
#else
#define WEFT_OPS_TILE_STREAM_INL_H_
#endif

#include <cstring>

#include "hwy/highway.h"
#include "ops/cpu/tile_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::CappedTag<float, kTileLanes>;
using DI = hn::RebindToSigned<DF>;
using VF = hn::Vec<DF>;
using VI = hn::Vec<DI>;
using MF = hn::Mask<DF>;

// One argument or result of an operation, at the first element of the chunk.
struct Stream {
  Stream(const TileSlot& slot, int64_t base)
      : data(slot.data + 4 * (static_cast<uint64_t>(base) & slot.base_mask)), mask(slot.lane_mask) {}

  VF f32(size_t i) const { return hn::LoadU(DF(), reinterpret_cast<const float*>(data) + (i & mask)); }
  VI i32(size_t i) const { return hn::LoadU(DI(), reinterpret_cast<const int32_t*>(data) + (i & mask)); }
  template <class T>
  T scalar(size_t i) const {
    T value;
    std::memcpy(&value, data + 4 * (i & mask), 4);
    return value;
  }

  const std::byte* data;
  uint64_t mask;
};

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#endif  // WEFT_OPS_TILE_STREAM_INL_H_

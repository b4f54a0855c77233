// Weight formats as vectors of f32, 32 elements at a time: what dot products read.

#if defined(WEFT_OPS_DECODE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WEFT_OPS_DECODE_INL_H_
#undef WEFT_OPS_DECODE_INL_H_
#else
#define WEFT_OPS_DECODE_INL_H_
#endif

#include "core/format/quants-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

template <Format kFormat>
inline constexpr bool kIsPlain = FormatTraits<kFormat>::kElements == 1;

// Whether there is a Unit<format>: for formats without blocks, and for those whose blocks have 32 elements and no
// minimum.
template <Format kFormat>
constexpr bool has_unit() {
  if constexpr (kIsPlain<kFormat>) {
    return true;
  } else {
    return Quants<kFormat>::kElements == kUnit && !Quants<kFormat>::kMinimum;
  }
}

// Unit<format>(p).get(j) gives elements [j * kLanes, (j + 1) * kLanes) of the 32 elements that start at byte p.
template <Format kFormat, bool = kIsPlain<kFormat>>
struct Unit {
  static constexpr size_t kBytes = kUnit * FormatTraits<kFormat>::kBytes;
  const uint8_t* from;
  HWY_INLINE explicit Unit(const uint8_t* p) : from(p) {}
  HWY_INLINE VF get(int64_t j) const {
    return Floats<kFormat>::load(from + static_cast<size_t>(j * kLanes) * FormatTraits<kFormat>::kBytes);
  }
};

template <Format kFormat>
struct Unit<kFormat, false> {
  using Q = Quants<kFormat>;
  static_assert(has_unit<kFormat>() && Q::kSigned);
  static constexpr size_t kBytes = Q::kBytes;
  VF scale;
  HWY_ALIGN int8_t values[kUnit];
  HWY_INLINE explicit Unit(const uint8_t* p) {
    float own;
    Q::scales(p, &own, nullptr);
    scale = hn::Set(DF(), own);
    WEFT_UNROLL
    for (int64_t part = 0; part < kParts; ++part) {
      hn::Store(Q::get(p, 0, part), D8(), reinterpret_cast<uint8_t*>(values) + part * kPart);
    }
  }
  HWY_INLINE VF get(int64_t j) const {
    const hn::Rebind<int8_t, DF> d8;
    const auto bytes = hn::LoadU(d8, values + j * kLanes);
    return hn::Mul(hn::ConvertTo(DF(), hn::PromoteTo(hn::RebindToSigned<DF>(), bytes)), scale);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

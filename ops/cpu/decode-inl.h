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

using DU8 = hn::Rebind<uint8_t, DF>;
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
inline constexpr bool kHalvesAreVectors = true;  // a half of 32 bytes becomes one vector of floats
HWY_INLINE hn::Vec<DU8> half_of(V8 bytes, int64_t half) {
  return half == 0 ? hn::LowerHalf(DU8(), bytes) : hn::UpperHalf(DU8(), bytes);
}
#else
inline constexpr bool kHalvesAreVectors = false;
HWY_INLINE hn::Vec<DU8> half_of(V8, int64_t) { return hn::Zero(DU8()); }
#endif

// The bytes of the block stay in a register where that has a half for each vector; others are read from memory, from
// where they are in the block if it has them as they are.
template <Format kFormat>
struct Unit<kFormat, false> {
  using Q = Quants<kFormat>;
  static_assert(has_unit<kFormat>() && Q::kSigned);
  static constexpr size_t kBytes = Q::kBytes;
  static constexpr bool kInPlace = requires(const uint8_t* p) { Q::bytes(p); };
  static constexpr bool kInRegister = !kInPlace && kHalvesAreVectors;
  VF scale;
  const uint8_t* from;
  V8 whole;
  HWY_ALIGN uint8_t copy[kUnit];

  HWY_INLINE explicit Unit(const uint8_t* p) {
    if constexpr (requires { Q::scale_in_lanes(p); }) {
      scale = Q::scale_in_lanes(p);
    } else {
      float own;
      Q::scales(p, &own, nullptr);
      scale = hn::Set(DF(), own);
    }
    if constexpr (kInPlace) {
      from = Q::bytes(p);
    } else if constexpr (kInRegister) {
      whole = Q::get(quants::StoredRun{p, 0}, 0);
    } else {
      WEFT_UNROLL
      for (int64_t part = 0; part < kParts; ++part)
        hn::Store(Q::get(quants::StoredRun{p, part}, 0), D8(), copy + part * kPart);
      from = copy;
    }
  }
  HWY_INLINE VF get(int64_t j) const {
    const auto bytes = kInRegister ? half_of(whole, j) : hn::LoadU(DU8(), from + j * kLanes);
    const hn::Rebind<int8_t, DF> d8;
    return hn::Mul(hn::ConvertTo(DF(), hn::PromoteTo(hn::RebindToSigned<DF>(), hn::BitCast(d8, bytes))), scale);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

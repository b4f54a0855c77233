// Weight formats as vectors of f32. What the bits mean is said by decode_row (core/format/format.h); tests hold every
// format and target to it bit for bit.

#if defined(WEFT_OPS_DECODE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WEFT_OPS_DECODE_INL_H_
#undef WEFT_OPS_DECODE_INL_H_
#else
#define WEFT_OPS_DECODE_INL_H_
#endif

#include <cstdint>
#include <cstring>

#include "core/format/format.h"
#include "hwy/highway.h"

// Before loops over registers, whose number is a constant: an array of vectors becomes registers only where each
// index is known.
#ifndef WEFT_UNROLL
#define WEFT_UNROLL _Pragma("GCC unroll 16")
#endif

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Vectors are at most 512 bits, so that a unit of 32 elements is always a whole number of them.
using DF = hn::CappedTag<float, 16>;
using VF = hn::Vec<DF>;
inline constexpr int64_t kLanes = HWY_MIN(hn::MaxLanes(DF()), size_t{16});
inline constexpr int64_t kUnit = 32;                 // elements that decoders take at a time
inline constexpr int64_t kVectors = kUnit / kLanes;  // vectors of one unit

using DU16 = hn::Rebind<uint16_t, DF>;

HWY_INLINE VF half_to_float(hn::Vec<DU16> bits) {
  const DF df;
  const VF value = hn::PromoteTo(df, hn::BitCast(hn::Rebind<hwy::float16_t, DF>(), bits));
#if HWY_TARGET == HWY_SSSE3
  // Without F16C Highway takes infinities and NaNs for large numbers.
  const hn::RebindToUnsigned<DF> du;
  const auto wide = hn::PromoteTo(du, bits);
  const auto top = hn::Set(du, 0x7c00);
  const auto special = hn::Or(hn::Or(hn::ShiftLeft<16>(hn::And(wide, hn::Set(du, 0x8000))), hn::Set(du, 0x7f800000)),
                              hn::ShiftLeft<13>(hn::And(wide, hn::Set(du, 0x3ff))));
  return hn::IfThenElse(hn::RebindMask(df, hn::Eq(hn::And(wide, top), top)), hn::BitCast(df, special), value);
#else
  return value;
#endif
}

// The f16 block scale at `from`, in every lane.
HWY_INLINE VF block_scale(const uint8_t* from) {
  uint16_t bits;
  std::memcpy(&bits, from, sizeof bits);
  return half_to_float(hn::Set(DU16(), bits));
}

// Unit<format>(p).get(j) gives elements [j * kLanes, (j + 1) * kLanes) of the 32 elements that start at byte p.
template <Format kFormat>
struct Unit;

template <>
struct Unit<Format::f32> {
  static constexpr size_t kBytes = 4 * kUnit;
  const uint8_t* from;
  HWY_INLINE explicit Unit(const uint8_t* p) : from(p) {}
  HWY_INLINE VF get(int64_t j) const { return hn::LoadU(DF(), reinterpret_cast<const float*>(from) + j * kLanes); }
};

template <>
struct Unit<Format::f16> {
  static constexpr size_t kBytes = 2 * kUnit;
  const uint8_t* from;
  HWY_INLINE explicit Unit(const uint8_t* p) : from(p) {}
  HWY_INLINE VF get(int64_t j) const {
    return half_to_float(hn::LoadU(DU16(), reinterpret_cast<const uint16_t*>(from) + j * kLanes));
  }
};

template <>
struct Unit<Format::bf16> {
  static constexpr size_t kBytes = 2 * kUnit;
  const uint8_t* from;
  HWY_INLINE explicit Unit(const uint8_t* p) : from(p) {}
  HWY_INLINE VF get(int64_t j) const {
    const auto bits = hn::LoadU(DU16(), reinterpret_cast<const uint16_t*>(from) + j * kLanes);
    return hn::BitCast(DF(), hn::ShiftLeft<16>(hn::PromoteTo(hn::RebindToUnsigned<DF>(), bits)));
  }
};

template <>
struct Unit<Format::q8_0> {
  static constexpr size_t kBytes = 34;
  const uint8_t* from;
  VF scale;
  HWY_INLINE explicit Unit(const uint8_t* p) : from(p + 2), scale(block_scale(p)) {}
  HWY_INLINE VF get(int64_t j) const {
    const hn::Rebind<int8_t, DF> d8;
    const auto bytes = hn::LoadU(d8, reinterpret_cast<const int8_t*>(from) + j * kLanes);
    return hn::Mul(hn::ConvertTo(DF(), hn::PromoteTo(hn::RebindToSigned<DF>(), bytes)), scale);
  }
};

template <>
struct Unit<Format::q4_0> {
  static constexpr size_t kBytes = 18;
  const uint8_t* from;
  VF scale;
  HWY_INLINE explicit Unit(const uint8_t* p) : from(p + 2), scale(block_scale(p)) {}
  HWY_INLINE VF get(int64_t j) const {
    // Low nibbles are elements 0..15, high ones 16..31, so a vector of at most 16 lanes has one kind only.
    const hn::Rebind<uint8_t, DF> d8;
    const hn::RebindToSigned<DF> di;
    const auto wide = hn::PromoteTo(di, hn::LoadU(d8, from + j * kLanes % 16));
    const auto nibble = j * kLanes < 16 ? hn::And(wide, hn::Set(di, 15)) : hn::ShiftRight<4>(wide);
    return hn::Mul(hn::ConvertTo(DF(), hn::Sub(nibble, hn::Set(di, 8))), scale);
  }
};

template <Format kFormat>
inline constexpr bool kIsPlain = kFormat != Format::q8_0 && kFormat != Format::q4_0;

// Decodes `elements` elements (whole blocks of the format) from `bytes` to `out`.
template <Format kFormat>
HWY_INLINE void decode_unit_rows(const uint8_t* bytes, int64_t elements, float* out) {
  using U = Unit<kFormat>;
  int64_t i = 0;
  for (; i + kUnit <= elements; i += kUnit, bytes += U::kBytes) {
    const U unit(bytes);
    WEFT_UNROLL
    for (int64_t j = 0; j < kVectors; ++j) hn::StoreU(unit.get(j), DF(), out + i + j * kLanes);
  }
  if (i < elements) decode_row(kFormat, bytes, static_cast<size_t>(elements - i), out + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

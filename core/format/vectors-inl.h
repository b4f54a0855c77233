// Vectors that hold elements, and how packed numbers (core/format/packing.h) become vectors of bytes.

#if defined(WEFT_FORMAT_VECTORS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WEFT_FORMAT_VECTORS_INL_H_
#undef WEFT_FORMAT_VECTORS_INL_H_
#else
#define WEFT_FORMAT_VECTORS_INL_H_
#endif

#include <cstdint>
#include <cstring>

#include "core/format/packing.h"
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

// Bytes of a run of 32 elements: one vector, or two parts of 16.
using D8 = hn::CappedTag<uint8_t, HWY_ARCH_X86 ? 32 : 16>;
using V8 = hn::Vec<D8>;
inline constexpr int64_t kRun = 32;
inline constexpr int64_t kPart = HWY_MIN(hn::MaxLanes(D8()), size_t{32});
inline constexpr int64_t kParts = kRun / kPart;
static_assert(kPart == 16 || kPart == 32);

namespace quants {

// Bits of each byte moved up by n, or down by -n; what comes from a neighbour is left in, for the mask that follows.
template <class V>
HWY_INLINE V shift(V bytes, int64_t n) {
  const hn::DFromV<V> d;
  const hn::Repartition<uint16_t, decltype(d)> d16;
  const auto v = hn::BitCast(d16, bytes);
  switch (n) {
    case -6: return hn::BitCast(d, hn::ShiftRight<6>(v));
    case -5: return hn::BitCast(d, hn::ShiftRight<5>(v));
    case -4: return hn::BitCast(d, hn::ShiftRight<4>(v));
    case -3: return hn::BitCast(d, hn::ShiftRight<3>(v));
    case -2: return hn::BitCast(d, hn::ShiftRight<2>(v));
    case -1: return hn::BitCast(d, hn::ShiftRight<1>(v));
    case 1: return hn::BitCast(d, hn::ShiftLeft<1>(v));
    case 2: return hn::BitCast(d, hn::ShiftLeft<2>(v));
    case 3: return hn::BitCast(d, hn::ShiftLeft<3>(v));
    case 4: return hn::BitCast(d, hn::ShiftLeft<4>(v));
    default: return bytes;
  }
}

// The bits of `mask`, after the shift.
template <class V>
HWY_INLINE V bits(V bytes, int64_t n, uint8_t mask) {
  return hn::And(shift(bytes, n), hn::Set(hn::DFromV<V>(), mask));
}

template <class V>
HWY_INLINE V minus(V bytes, int8_t less) {
  return hn::Sub(bytes, hn::Set(hn::DFromV<V>(), static_cast<uint8_t>(less)));
}

// What numbers below 16 stand for.
template <class V>
HWY_INLINE V looked_up(const int8_t* values, V numbers) {
  return hn::TableLookupBytes(hn::LoadDup128(hn::DFromV<V>(), reinterpret_cast<const uint8_t*>(values)), numbers);
}

using D16 = hn::FixedTag<uint8_t, 16>;
using V16 = hn::Vec<D16>;

// Part `part` of a run, of which these are the halves.
HWY_INLINE V8 part_of(V16 first, V16 second, int64_t part) {
#if HWY_MAX_BYTES >= 32 && HWY_ARCH_X86
  (void)part;
  return hn::Combine(D8(), second, first);
#else
  return part == 0 ? first : second;
#endif
}

// The high four bits of each byte, with others above them.
HWY_INLINE V16 high_nibbles(V16 bytes) {
  return hn::BitCast(D16(), hn::ShiftRight<4>(hn::BitCast(hn::Repartition<uint16_t, D16>(), bytes)));
}

// A run of 32 elements of a block as it is stored, of which a vector holds one part. `section`: where the bytes that
// are meant begin in the block; `offset`: the run's place among them.
struct StoredRun {
  const uint8_t* block;
  int64_t part;

  HWY_INLINE V8 bytes(size_t section, int64_t offset) const {
    return hn::LoadU(D8(), block + section + offset + part * kPart);
  }
  // Bits of `mask`, after a shift up by n, of 32 bytes.
  HWY_INLINE V8 bits(size_t section, int64_t offset, int64_t n, uint8_t mask) const {
    return quants::bits(bytes(section, offset), n, mask);
  }
  // Of 16 bytes, whose low four bits are elements 0..15 and whose high ones 16..31.
  HWY_INLINE V8 nibbles(size_t section, int64_t offset) const {
    const auto both = hn::LoadU(D16(), block + section + offset);
    return hn::And(part_of(both, high_nibbles(both), part), hn::Set(D8(), 15));
  }
  // The same by 8 bytes, each of which holds 16 elements.
  HWY_INLINE V8 nibbles_by_8(size_t section, int64_t offset) const {
    const hn::Repartition<uint64_t, D16> eight;
    const auto both = hn::LoadU(D16(), block + section + offset);
    const auto low = hn::BitCast(eight, both), high = hn::BitCast(eight, high_nibbles(both));
    const auto first = hn::BitCast(D16(), hn::InterleaveLower(eight, low, high));
    const auto second = hn::BitCast(D16(), hn::InterleaveUpper(eight, low, high));
    return hn::And(part_of(first, second, part), hn::Set(D8(), 15));
  }
  // 16 for the elements whose bit of 32 is set.
  HWY_INLINE V8 fifth_bits(size_t section) const {
    const D8 d;
    const hn::Repartition<uint32_t, D8> d32;
    alignas(32) static constexpr uint8_t kByte[32] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,
                                                      2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3};
    alignas(16) static constexpr uint8_t kBit[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const auto packed = load_as<uint32_t>(block + section);
    const auto spread = hn::TableLookupBytes(hn::BitCast(d, hn::Set(d32, packed)), hn::Load(d, kByte + part * kPart));
    const auto bit = hn::LoadDup128(d, kBit);
    return hn::And(hn::VecFromMask(d, hn::Eq(hn::And(spread, bit), bit)), hn::Set(d, 16));
  }
};

// Byte `at` of each lane's four.
template <class V>
HWY_INLINE VF byte_of(V words, int64_t at) {
  const hn::DFromV<V> d;
  const auto by = [&](auto moved) HWY_ATTR {
    return hn::ConvertTo(DF(), hn::BitCast(hn::RebindToSigned<DF>(), hn::And(moved, hn::Set(d, 255))));
  };
  switch (at) {
    case 0: return by(words);
    case 1: return by(hn::ShiftRight<8>(words));
    case 2: return by(hn::ShiftRight<16>(words));
    default: return by(hn::ShiftRight<24>(words));
  }
}
template <class V>
HWY_INLINE VF signed_byte_of(V words, int64_t at) {
  const auto by = [&](auto moved) HWY_ATTR {
    return hn::ConvertTo(DF(), hn::ShiftRight<24>(hn::BitCast(hn::RebindToSigned<DF>(), moved)));
  };
  switch (at) {
    case 0: return by(hn::ShiftLeft<24>(words));
    case 1: return by(hn::ShiftLeft<16>(words));
    case 2: return by(hn::ShiftLeft<8>(words));
    default: return by(words);
  }
}

// The f16 scale there.
HWY_INLINE VF scale_in_all_lanes(const uint8_t* from) {
  return half_to_float(hn::Set(DU16(), load_as<uint16_t>(from)));
}
HWY_INLINE float scale_at(const uint8_t* from) { return hn::GetLane(scale_in_all_lanes(from)); }

// out[i] = factor * bytes[i].
template <int64_t kCount, class T>
HWY_INLINE void scaled(const T* bytes, float factor, float* out) {
  const hn::CappedTag<float, HWY_MIN(kCount, 16)> df;
  const hn::RebindToSigned<decltype(df)> di;
  const hn::Rebind<T, decltype(df)> d8;
  const auto by = hn::Set(df, factor);
  WEFT_UNROLL
  for (int64_t i = 0; i < kCount; i += static_cast<int64_t>(hn::Lanes(df))) {
    hn::StoreU(hn::Mul(by, hn::ConvertTo(df, hn::PromoteTo(di, hn::LoadU(d8, bytes + i)))), df, out + i);
  }
}

}  // namespace quants
}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

// The formats of blocks for vectors: an element is scale * q - minimum, where q is a byte and 16 or 32 elements share
// the scale and the minimum. Everything that reads such formats by vectors on the CPU, as f32 or as bytes, reads them
// here; decode_row (core/format/format.h) says what the bits mean, and tests hold this to it.

#if defined(WEFT_OPS_QUANTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WEFT_OPS_QUANTS_INL_H_
#undef WEFT_OPS_QUANTS_INL_H_
#else
#define WEFT_OPS_QUANTS_INL_H_
#endif

#include "core/format/format_blocks.h"
#include "ops/cpu/decode-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

// Bytes of a run of 32 elements: one vector, or two parts of 16.
using D8 = hn::CappedTag<uint8_t, HWY_ARCH_X86 ? 32 : 16>;
using V8 = hn::Vec<D8>;
inline constexpr int64_t kRun = 32;
inline constexpr int64_t kPart = HWY_MIN(hn::MaxLanes(D8()), size_t{32});
inline constexpr int64_t kParts = kRun / kPart;
static_assert(kPart == 16 || kPart == 32);

// Quants<format>:
//   kElements, kBytes: of a block; kGrain: elements that share a scale, 16 or 32
//   kSigned: bytes are int8, else uint8 of at most 127 (at most 63 where pairs of products are summed in 16 bits)
//   kMinimum: whether there are minimums
//   scales(block, scale, minimum): writes kElements / kGrain floats to each (minimum only where there are any)
//   get(block, run, part): bytes [part * kPart, (part + 1) * kPart) of run `run`, in a loop that is unrolled
template <Format kFormat>
struct Quants;

namespace quants {

// Bits of each byte moved up by n, or down by -n; what comes from a neighbour is left in, for the mask that follows.
HWY_INLINE V8 shift(V8 bytes, int64_t n) {
  const D8 d;
  const hn::Repartition<uint16_t, D8> d16;
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
HWY_INLINE V8 bits(const uint8_t* from, int64_t part, int64_t n, uint8_t mask) {
  const D8 d;
  return hn::And(shift(hn::LoadU(d, from + part * kPart), n), hn::Set(d, mask));
}

// 16 bytes whose low four bits are elements 0..15 and whose high ones 16..31.
HWY_INLINE V8 nibbles(const uint8_t* packed, int64_t part) {
  const D8 d;
  const hn::FixedTag<uint8_t, 16> d16;
  const hn::Repartition<uint16_t, decltype(d16)> words;
  const auto both = hn::LoadU(d16, packed);
  const auto high = hn::BitCast(d16, hn::ShiftRight<4>(hn::BitCast(words, both)));
#if HWY_MAX_BYTES >= 32 && HWY_ARCH_X86
  (void)part;
  return hn::And(hn::Combine(d, high, both), hn::Set(d, 15));
#else
  return hn::And(part == 0 ? both : high, hn::Set(d, 15));
#endif
}

// 16 in the bytes whose bit of 32 is set.
HWY_INLINE V8 fifth_bits(const uint8_t* from, int64_t part) {
  const D8 d;
  const hn::Repartition<uint32_t, D8> d32;
  alignas(32) static constexpr uint8_t kByte[32] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,
                                                    2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3};
  alignas(16) static constexpr uint8_t kBit[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  uint32_t packed;
  std::memcpy(&packed, from, sizeof packed);
  const auto spread = hn::TableLookupBytes(hn::BitCast(d, hn::Set(d32, packed)), hn::Load(d, kByte + part * kPart));
  const auto bit = hn::LoadDup128(d, kBit);
  return hn::And(hn::VecFromMask(d, hn::Eq(hn::And(spread, bit), bit)), hn::Set(d, 16));
}

HWY_INLINE V8 minus(V8 bytes, int8_t less) { return hn::Sub(bytes, hn::Set(D8(), static_cast<uint8_t>(less))); }

HWY_INLINE V8 iq4_values(V8 nibble) {
  const D8 d;
  return hn::TableLookupBytes(hn::LoadDup128(d, reinterpret_cast<const uint8_t*>(kIq4Values)), nibble);
}

HWY_INLINE float half_at(const uint8_t* from) { return hn::GetLane(block_scale(from)); }

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

// Blocks of 32 that begin with their scale.
template <size_t kSize, bool kIsSigned, bool kHasMinimum>
struct Block32 {
  static constexpr int64_t kElements = 32, kGrain = 32;
  static constexpr size_t kBytes = kSize;
  static constexpr bool kSigned = kIsSigned, kMinimum = kHasMinimum;
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float* minimum) {
    scale[0] = half_at(block);
    if (kMinimum) minimum[0] = -half_at(block + 2);
  }
};

template <size_t kSize, int64_t kShared, bool kIsSigned, bool kHasMinimum>
struct Block256 {
  static constexpr int64_t kElements = 256, kGrain = kShared;
  static constexpr size_t kBytes = kSize;
  static constexpr bool kSigned = kIsSigned, kMinimum = kHasMinimum;
};

// Q4_K and Q5_K have their scales in common.
template <size_t kSize>
struct SixBitPairs : Block256<kSize, 32, false, true> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float* minimum) {
    uint8_t packed_scales[8], packed_minimums[8];
    unpack_6_bit_pairs(block + q4_k::kScales, packed_scales, packed_minimums);
    scaled<8>(packed_scales, half_at(block + q4_k::kScale), scale);
    scaled<8>(packed_minimums, half_at(block + q4_k::kMinimum), minimum);
  }
};

}  // namespace quants

template <>
struct Quants<Format::q8_0> : quants::Block32<34, true, false> {
  static HWY_INLINE V8 get(const uint8_t* block, int64_t, int64_t part) {
    return hn::LoadU(D8(), block + 2 + part * kPart);
  }
};

template <>
struct Quants<Format::q4_0> : quants::Block32<18, true, false> {
  static HWY_INLINE V8 get(const uint8_t* block, int64_t, int64_t part) {
    return quants::minus(quants::nibbles(block + 2, part), 8);
  }
};

template <>
struct Quants<Format::q4_1> : quants::Block32<20, false, true> {
  static HWY_INLINE V8 get(const uint8_t* block, int64_t, int64_t part) { return quants::nibbles(block + 4, part); }
};

template <>
struct Quants<Format::q5_0> : quants::Block32<22, true, false> {
  static HWY_INLINE V8 get(const uint8_t* block, int64_t, int64_t part) {
    return quants::minus(hn::Or(quants::nibbles(block + 6, part), quants::fifth_bits(block + 2, part)), 16);
  }
};

template <>
struct Quants<Format::q5_1> : quants::Block32<24, false, true> {
  static HWY_INLINE V8 get(const uint8_t* block, int64_t, int64_t part) {
    return hn::Or(quants::nibbles(block + 8, part), quants::fifth_bits(block + 4, part));
  }
};

template <>
struct Quants<Format::iq4_nl> : quants::Block32<18, true, false> {
  static HWY_INLINE V8 get(const uint8_t* block, int64_t, int64_t part) {
    return quants::iq4_values(quants::nibbles(block + 2, part));
  }
};

template <>
struct Quants<Format::iq4_xs> : quants::Block256<136, 32, true, false> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float*) {
    int8_t packed[8];
    unpack_iq4_scales(block, packed);
    quants::scaled<8>(packed, quants::half_at(block + iq4_xs::kScale), scale);
  }
  static HWY_INLINE V8 get(const uint8_t* block, int64_t run, int64_t part) {
    return quants::iq4_values(quants::nibbles(block + iq4_xs::kValues + 16 * run, part));
  }
};

template <>
struct Quants<Format::q2_k> : quants::Block256<84, 16, false, true> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float* minimum) {
    const hn::FixedTag<uint8_t, 16> d;
    const hn::Repartition<uint16_t, decltype(d)> words;
    const auto packed = hn::LoadU(d, block + q2_k::kScales);
    uint8_t low[16], high[16];
    hn::StoreU(hn::And(packed, hn::Set(d, 15)), d, low);
    hn::StoreU(hn::And(hn::BitCast(d, hn::ShiftRight<4>(hn::BitCast(words, packed))), hn::Set(d, 15)), d, high);
    quants::scaled<16>(low, quants::half_at(block + q2_k::kScale), scale);
    quants::scaled<16>(high, quants::half_at(block + q2_k::kMinimum), minimum);
  }
  static HWY_INLINE V8 get(const uint8_t* block, int64_t run, int64_t part) {
    return quants::bits(block + q2_k::kLow + run / 4 * 32, part, -(run % 4 * 2), 3);
  }
};

template <>
struct Quants<Format::q3_k> : quants::Block256<110, 16, true, false> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float*) {
    int8_t packed[16];
    unpack_6_bit_scales(block + q3_k::kScales, packed);
    quants::scaled<16>(packed, quants::half_at(block + q3_k::kScale), scale);
  }
  static HWY_INLINE V8 get(const uint8_t* block, int64_t run, int64_t part) {
    const auto low = quants::bits(block + q3_k::kLow + run / 4 * 32, part, -(run % 4 * 2), 3);
    const auto high = quants::bits(block + q3_k::kHigh, part, 2 - run, 4);
    return quants::minus(hn::Or(low, high), 4);
  }
};

template <>
struct Quants<Format::q4_k> : quants::SixBitPairs<144> {
  static HWY_INLINE V8 get(const uint8_t* block, int64_t run, int64_t part) {
    return quants::bits(block + q4_k::kLow + run / 2 * 32, part, -(run % 2 * 4), 15);
  }
};

template <>
struct Quants<Format::q5_k> : quants::SixBitPairs<176> {
  static HWY_INLINE V8 get(const uint8_t* block, int64_t run, int64_t part) {
    const auto low = quants::bits(block + q5_k::kLow + run / 2 * 32, part, -(run % 2 * 4), 15);
    return hn::Or(low, quants::bits(block + q5_k::kHigh, part, 4 - run, 16));
  }
};

template <>
struct Quants<Format::q6_k> : quants::Block256<210, 16, true, false> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float*) {
    quants::scaled<16>(reinterpret_cast<const int8_t*>(block + q6_k::kScales), quants::half_at(block + q6_k::kScale),
                       scale);
  }
  static HWY_INLINE V8 get(const uint8_t* block, int64_t run, int64_t part) {
    const int64_t half = run / 4, in_half = run % 4;
    const auto low = quants::bits(block + q6_k::kLow + half * 64 + in_half % 2 * 32, part, -(in_half / 2 * 4), 15);
    const auto high = quants::bits(block + q6_k::kHigh + half * 32, part, 4 - in_half * 2, 48);
    return quants::minus(hn::Or(low, high), 32);
  }
};

template <>
struct Quants<Format::q8_k> : quants::Block256<292, 32, true, false> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float*) {
    float own;
    std::memcpy(&own, block + q8_k::kScale, sizeof own);
    for (int64_t i = 0; i < 8; ++i) scale[i] = own;
  }
  static HWY_INLINE V8 get(const uint8_t* block, int64_t run, int64_t part) {
    return hn::LoadU(D8(), block + q8_k::kValues + run * kRun + part * kPart);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

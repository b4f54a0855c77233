// The formats for vectors. Everything that reads formats by vectors on the CPU, as f32 or as bytes, reads them here;
// decode_row (core/format/format.h) says what the bits mean, and tests hold every format and target to it bit for bit.

#if defined(WEFT_FORMAT_QUANTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WEFT_FORMAT_QUANTS_INL_H_
#undef WEFT_FORMAT_QUANTS_INL_H_
#else
#define WEFT_FORMAT_QUANTS_INL_H_
#endif

#include "core/format/formats.h"
#include "core/format/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

// Floats<format>, of formats without blocks: load(from) gives the kLanes elements from there on.
template <Format kFormat>
struct Floats;

// Quants<format>, of formats with blocks: an element is scale * q - minimum, where q is a byte and 16 or 32 elements
// share the scale and the minimum.
//   kElements, kBytes: of a block; kGrain: elements that share a scale, 16 or 32
//   kSigned: bytes are int8, else uint8 of at most 127 (at most 63 where pairs of products are summed in 16 bits)
//   kMinimum: whether there are minimums
//   scales(block, scale, minimum): writes kElements / kGrain floats to each (minimum only where there are any)
//   scale_in_lanes(block): the one scale, of formats that have it in a form that vectors read
//   bytes(block): all bytes, of formats whose blocks hold them as they are
//   get(run, i): bytes of run i, in a loop that is unrolled: a part of quants::StoredRun, or four bytes of each of
//     several rows that are interleaved (ops/contract/x16-inl.h)
//   scales_of_rows(rows, scale, minimum): what scales() gives, for such rows: kElements / kGrain vectors each
//   begin_run(rows, i): to be called before get(run, i) of such rows
template <Format kFormat>
struct Quants;

namespace quants {

// What blocks have in common: runs of kShared elements share a scale.
template <Format kFormat, int64_t kShared, bool kIsSigned, bool kHasMinimum>
struct Block : FormatTraits<kFormat> {
  static constexpr int64_t kElements = FormatTraits<kFormat>::kElements, kGrain = kShared;
  static constexpr size_t kBytes = FormatTraits<kFormat>::kBytes;
  static constexpr bool kSigned = kIsSigned, kMinimum = kHasMinimum;

  template <class Rows>
  static HWY_INLINE void begin_run(const Rows&, int64_t) {}
};

// One scale, f16.
template <Format kFormat>
struct Scaled32 : Block<kFormat, 32, true, false> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float*) {
    scale[0] = scale_at(block + FormatTraits<kFormat>::kScale);
  }
  static HWY_INLINE VF scale_in_lanes(const uint8_t* block) {
    return scale_in_all_lanes(block + FormatTraits<kFormat>::kScale);
  }
  template <class Rows>
  static HWY_INLINE void scales_of_rows(const Rows& rows, VF* scale, VF*) {
    scale[0] = rows.halves(FormatTraits<kFormat>::kScale);
  }
};

// One scale and an offset, f16.
template <Format kFormat>
struct Offset32 : Block<kFormat, 32, false, true> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float* minimum) {
    scale[0] = scale_at(block + FormatTraits<kFormat>::kScale);
    minimum[0] = -scale_at(block + FormatTraits<kFormat>::kOffset);
  }
  template <class Rows>
  static HWY_INLINE void scales_of_rows(const Rows& rows, VF* scale, VF* minimum) {
    scale[0] = rows.halves(FormatTraits<kFormat>::kScale);
    minimum[0] = hn::Neg(rows.halves(FormatTraits<kFormat>::kOffset));
  }
};

// Q4_K and Q5_K have their scales in common.
template <Format kFormat>
struct SixBit256 : Block<kFormat, 32, false, true> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float* minimum) {
    uint8_t packed_scales[8], packed_minimums[8];
    unpack_6_bit_pairs(block + SixBitPairs::kPairs, packed_scales, packed_minimums);
    scaled<8>(packed_scales, scale_at(block + SixBitPairs::kScale), scale);
    scaled<8>(packed_minimums, scale_at(block + SixBitPairs::kMin), minimum);
  }
  template <class Rows>
  static HWY_INLINE void scales_of_rows(const Rows& rows, VF* scale, VF* minimum) {
    const hn::RebindToUnsigned<DF> du;
    const VF by = rows.halves(SixBitPairs::kScale), least = rows.halves(SixBitPairs::kMin);
    const auto a = rows.words(SixBitPairs::kPairs, 0), b = rows.words(SixBitPairs::kPairs, 4),
               c = rows.words(SixBitPairs::kPairs, 8);
    const auto six = hn::Set(du, 0x3f3f3f3fu), low = hn::Set(du, 0x0f0f0f0fu), top = hn::Set(du, 0x30303030u);
    // As unpack_6_bit_pairs has them.
    const hn::Vec<decltype(du)> scales[2] = {hn::And(a, six),
                                             hn::Or(hn::And(c, low), hn::And(hn::ShiftRight<2>(a), top))};
    const hn::Vec<decltype(du)> minimums[2] = {
        hn::And(b, six), hn::Or(hn::And(hn::ShiftRight<4>(c), low), hn::And(hn::ShiftRight<2>(b), top))};
    WEFT_UNROLL
    for (int64_t i = 0; i < 8; ++i) {
      scale[i] = hn::Mul(by, byte_of(scales[i / 4], i % 4));
      minimum[i] = hn::Mul(least, byte_of(minimums[i / 4], i % 4));
    }
  }
};

}  // namespace quants

#include "core/format/bf16/bf16-inl.h"
#include "core/format/f16/f16-inl.h"
#include "core/format/f32/f32-inl.h"
#include "core/format/iq4_nl/iq4_nl-inl.h"
#include "core/format/iq4_xs/iq4_xs-inl.h"
#include "core/format/mxfp4/mxfp4-inl.h"
#include "core/format/nvfp4/nvfp4-inl.h"
#include "core/format/q2_k/q2_k-inl.h"
#include "core/format/q3_k/q3_k-inl.h"
#include "core/format/q4_0/q4_0-inl.h"
#include "core/format/q4_1/q4_1-inl.h"
#include "core/format/q4_k/q4_k-inl.h"
#include "core/format/q5_0/q5_0-inl.h"
#include "core/format/q5_1/q5_1-inl.h"
#include "core/format/q5_k/q5_k-inl.h"
#include "core/format/q6_k/q6_k-inl.h"
#include "core/format/q8_0/q8_0-inl.h"
#include "core/format/q8_k/q8_k-inl.h"

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

// Activations rounded to int8: sums of a block are exact integers, scaled once per block.
#include <algorithm>
#include <bit>
#include <cstring>

#include "ops/contract/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/contract/rounded.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ops/contract/decode-inl.h"

// A rounded row holds, per block of 32 elements: 32 x int16 (an int8 value each: widened once here and not for
// every right-hand row), then the scales of all blocks as f32.
//   element i of block b = scale[b] * value[b][i],  |value| <= 127

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

constexpr int64_t kBlock = 32;

void round_blocks(const float* row, int64_t k, std::byte* rounded) {
  const DF df;
  const hn::RebindToSigned<DF> di;
  const hn::Rebind<int16_t, DF> d16;
  auto* values = reinterpret_cast<int16_t*>(rounded);
  auto* scales = reinterpret_cast<float*>(rounded + static_cast<size_t>(k) * sizeof(int16_t));
  for (int64_t i = 0; i < k; i += kBlock) {
    // The magnitudes' bits compare like the magnitudes, and put NaN above infinity.
    auto largest = hn::Zero(di);
    for (int64_t j = 0; j < kBlock; j += kLanes) {
      largest = hn::Max(largest, hn::BitCast(di, hn::Abs(hn::LoadU(df, row + i + j))));
    }
    const auto bits = static_cast<uint32_t>(hn::GetLane(hn::MaxOfLanes(di, largest)));
    float scale = 0, inverse = 0;
    if (bits >= 0x7f800000u) {
      scale = std::bit_cast<float>(0x7fc00000u);
    } else if (const float magnitude = std::bit_cast<float>(bits); magnitude > 1e-30f) {
      scale = magnitude / 127.0f;
      inverse = 127.0f / magnitude;
    }
    scales[i / kBlock] = scale;
    const VF factor = hn::Set(df, inverse);
    for (int64_t j = 0; j < kBlock; j += kLanes) {
      const auto value = hn::NearestInt(hn::Mul(hn::LoadU(df, row + i + j), factor));
      hn::StoreU(hn::DemoteTo(d16, value), d16, values + i + j);
    }
    if (inverse == 0) std::memset(values + i, 0, kBlock * sizeof(int16_t));  // inf * 0 was no number
  }
}

// int16 vectors of up to 512 bits; a block is 1, 2 or 4 of them.
using D16 = hn::CappedTag<int16_t, 32>;
using D32 = hn::RepartitionToWide<D16>;
constexpr int64_t kLanes16 = HWY_MIN(hn::MaxLanes(D16()), size_t{32});
constexpr int64_t kVectors16 = kBlock / kLanes16;

template <Format kFormat>
struct Block16;

template <>
struct Block16<Format::q8_0> {
  static constexpr size_t kBytes = 34;
  const uint8_t* from;
  HWY_INLINE explicit Block16(const uint8_t* p) : from(p + 2) {}
  HWY_INLINE hn::Vec<D16> get(int64_t j) const {
    const hn::Rebind<int8_t, D16> d8;
    return hn::PromoteTo(D16(), hn::LoadU(d8, reinterpret_cast<const int8_t*>(from) + j * kLanes16));
  }
};

template <>
struct Block16<Format::q4_0> {
  static constexpr size_t kBytes = 18;
  const uint8_t* from;
  HWY_INLINE explicit Block16(const uint8_t* p) : from(p + 2) {}
  HWY_INLINE hn::Vec<D16> get(int64_t j) const {
    const D16 d;
    const auto eight = hn::Set(d, 8);
#if HWY_TARGET <= HWY_AVX3  // a block is one vector: low nibbles, then high ones
    const hn::CappedTag<uint8_t, 16> d8;
    const hn::Repartition<uint16_t, decltype(d8)> du16;
    const auto bytes = hn::LoadU(d8, from);
    const auto low = hn::And(bytes, hn::Set(d8, 15));
    const auto high = hn::And(hn::BitCast(d8, hn::ShiftRight<4>(hn::BitCast(du16, bytes))), hn::Set(d8, 15));
    return hn::Sub(hn::PromoteTo(d, hn::Combine(hn::CappedTag<uint8_t, 32>(), high, low)), eight);
#else
    const hn::Rebind<uint8_t, D16> d8;
    const auto wide = hn::PromoteTo(d, hn::LoadU(d8, from + j * kLanes16 % 16));
    const auto nibble = j * kLanes16 < 16 ? hn::And(wide, hn::Set(d, 15)) : hn::ShiftRight<4>(wide);
    return hn::Sub(nibble, eight);
#endif
  }
};

template <Format kFormat, int64_t kLhs, int64_t kRhs>
HWY_NOINLINE void dot_rounded_block(RowPointers rows, const std::byte* const* lhs, int64_t k, float* const* out,
                                    int64_t j0) {
  using B = Block16<kFormat>;
  const D32 d32;
  const hn::RebindToFloat<D32> df;
  hn::Vec<decltype(df)> sum[kRhs][kLhs];
  WEFT_UNROLL
  for (int64_t r = 0; r < kRhs; ++r) {
    WEFT_UNROLL
    for (int64_t m = 0; m < kLhs; ++m) sum[r][m] = hn::Zero(df);
  }
  const uint8_t* at[kRhs];
  const int16_t* left[kLhs];
  const float* scales[kLhs];
  WEFT_UNROLL
  for (int64_t r = 0; r < kRhs; ++r) at[r] = reinterpret_cast<const uint8_t*>(rows[r]);
  WEFT_UNROLL
  for (int64_t m = 0; m < kLhs; ++m) {
    left[m] = reinterpret_cast<const int16_t*>(lhs[m]);
    scales[m] = reinterpret_cast<const float*>(lhs[m] + static_cast<size_t>(k) * sizeof(int16_t));
  }
  const int64_t blocks = k / kBlock;
  for (int64_t b = 0; b < blocks; ++b) {
    WEFT_UNROLL
    for (int64_t r = 0; r < kRhs; ++r) {
      const B block(at[r]);
      const VF scale = block_scale(at[r]);
      hn::Vec<D32> dots[kLhs];
      WEFT_UNROLL
      for (int64_t m = 0; m < kLhs; ++m) dots[m] = hn::Zero(d32);
      for (int64_t j = 0; j < kVectors16; ++j) {
        const auto weight = block.get(j);
        WEFT_UNROLL
        for (int64_t m = 0; m < kLhs; ++m) {
          hn::Vec<D32> rest = hn::Zero(d32);
          dots[m] =
              hn::ReorderWidenMulAccumulate(d32, weight, hn::LoadU(D16(), left[m] + j * kLanes16), dots[m], rest);
          dots[m] = hn::RearrangeToOddPlusEven(dots[m], rest);
        }
      }
      WEFT_UNROLL
      for (int64_t m = 0; m < kLhs; ++m) {
        const VF factor = hn::Mul(scale, hn::Set(df, scales[m][b]));
        sum[r][m] = hn::MulAdd(hn::ConvertTo(df, dots[m]), factor, sum[r][m]);
      }
      at[r] += B::kBytes;
    }
    WEFT_UNROLL
    for (int64_t m = 0; m < kLhs; ++m) left[m] += kBlock;
  }
  WEFT_UNROLL
  for (int64_t r = 0; r < kRhs; ++r) {
    WEFT_UNROLL
    for (int64_t m = 0; m < kLhs; ++m) {
      out[m][j0 + r] = hn::GetLane(hn::SumOfLanes(df, sum[r][m]));
    }
  }
}

template <Format kFormat, int64_t kLhs>
void dot_rounded_format(RowPointers rows, int64_t count, const std::byte* const* lhs, int64_t k,
                        float* const* out) {
  constexpr int64_t kRhs = HWY_TARGET <= HWY_AVX3 || kLhs <= 2 ? 4 : 2;
  if (count >= kRhs) {  // the last block may overlap the one before: it gives the same sums
    for (int64_t j = 0; j < count; j += kRhs) {
      const int64_t first = std::min(j, count - kRhs);
      dot_rounded_block<kFormat, kLhs, kRhs>(rows + first, lhs, k, out, first);
    }
    return;
  }
  if (count == 0) return;
  const std::byte* repeated[kRhs];
  float sums[kLhs][kRhs];
  float* to[kLhs];
  for (int64_t r = 0; r < kRhs; ++r) repeated[r] = rows[std::min(r, count - 1)];
  for (int64_t m = 0; m < kLhs; ++m) to[m] = sums[m];
  dot_rounded_block<kFormat, kLhs, kRhs>(repeated, lhs, k, to, 0);
  for (int64_t m = 0; m < kLhs; ++m) std::copy_n(sums[m], count, out[m]);
}

template <Format kFormat>
void dot_rounded_lhs(RowPointers rows, int64_t count, const std::byte* const* lhs, int lhs_rows, int64_t k,
                     float* const* out) {
  switch (lhs_rows) {
    case 1: return dot_rounded_format<kFormat, 1>(rows, count, lhs, k, out);
    case 2: return dot_rounded_format<kFormat, 2>(rows, count, lhs, k, out);
    case 3: return dot_rounded_format<kFormat, 3>(rows, count, lhs, k, out);
    default: return dot_rounded_format<kFormat, 4>(rows, count, lhs, k, out);
  }
}

void dot_rounded_any(Format format, RowPointers rows, int64_t count, const std::byte* const* lhs, int lhs_rows,
                     int64_t k, float* const* out) {
  if (format == Format::q8_0) return dot_rounded_lhs<Format::q8_0>(rows, count, lhs, lhs_rows, k, out);
  if (format == Format::q4_0) return dot_rounded_lhs<Format::q4_0>(rows, count, lhs, lhs_rows, k, out);
}

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {
HWY_EXPORT(round_blocks);
HWY_EXPORT(dot_rounded_any);

size_t rounded_bytes(int64_t k) {
  const auto elements = static_cast<size_t>(k);
  return (elements * sizeof(int16_t) + elements / 32 * sizeof(float) + 63) / 64 * 64;
}

bool has_rounded_kernel(Format format) { return format == Format::q8_0 || format == Format::q4_0; }

void round_row(const float* row, int64_t k, std::byte* rounded) {
  HWY_DYNAMIC_DISPATCH(round_blocks)(row, k, rounded);
}

void dot_rounded_rows(Format format, RowPointers rows, int64_t count, const std::byte* const* lhs, int lhs_rows,
                      int64_t k, float* const* out) {
  HWY_DYNAMIC_DISPATCH(dot_rounded_any)(format, rows, count, lhs, lhs_rows, k, out);
}

}  // namespace weft
#endif

#include "ops/attention/few_rows.h"

#include <algorithm>

#include "ops/attention/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/attention/few_rows.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ops/cpu/decode-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

constexpr int64_t kMostRows = 4;  // query rows that are held in registers at a time

// The sums of four vectors' lanes.
template <class D>
HWY_INLINE hn::Vec<hn::CappedTag<float, 4>> fold([[maybe_unused]] D d, hn::Vec<D> v) {
  if constexpr (hn::MaxLanes(D()) <= 4) {
    return v;
  } else {
    const hn::Half<D> half;
    return fold(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}
HWY_INLINE hn::Vec<hn::CappedTag<float, 4>> sums_of_four(VF a, VF b, VF c, VF d) {
  const DF df;
  const hn::RepartitionToWide<DF> wide;
  const VF ab = hn::Add(hn::InterleaveLower(df, a, b), hn::InterleaveUpper(df, a, b));
  const VF cd = hn::Add(hn::InterleaveLower(df, c, d), hn::InterleaveUpper(df, c, d));
  const auto x = hn::BitCast(wide, ab), y = hn::BitCast(wide, cd);
  return fold(
      df, hn::Add(hn::BitCast(df, hn::InterleaveLower(wide, x, y)), hn::BitCast(df, hn::InterleaveUpper(wide, x, y))));
}

// One head's kRows query rows with four keys: `at` are the keys' rows, out[m][0 .. 4) the results.
template <Format kFormat, int64_t kRows>
HWY_INLINE void dot_four(const uint8_t* const* at, int64_t width, const float* const* lhs, float* const* out,
                         int64_t column) {
  using U = Unit<kFormat>;
  const DF df;
  VF sum[4][kRows];
  WEFT_UNROLL
  for (int64_t j = 0; j < 4; ++j) {
    WEFT_UNROLL
    for (int64_t m = 0; m < kRows; ++m) sum[j][m] = hn::Zero(df);
  }
  for (int64_t i = 0, offset = 0; i < width; i += kUnit, offset += U::kBytes) {
    WEFT_UNROLL
    for (int64_t j = 0; j < 4; ++j) {
      const U unit(at[j] + offset);
      WEFT_UNROLL
      for (int64_t v = 0; v < kVectors; ++v) {
        const VF key = unit.get(v);
        WEFT_UNROLL
        for (int64_t m = 0; m < kRows; ++m)
          sum[j][m] = hn::MulAdd(key, hn::LoadU(df, lhs[m] + i + v * kLanes), sum[j][m]);
      }
    }
  }
  const hn::CappedTag<float, 4> d4;
  WEFT_UNROLL
  for (int64_t m = 0; m < kRows; ++m)
    hn::StoreU(sums_of_four(sum[0][m], sum[1][m], sum[2][m], sum[3][m]), d4, out[m] + column);
}

template <Format kFormat, int64_t kRows>
HWY_INLINE void weigh_keys(const uint8_t* const* at, int64_t keys, int64_t width, const float* weights,
                           const float* factor, float* sums, int64_t stride) {
  using U = Unit<kFormat>;
  const DF df;
  const auto part = [&]<int64_t kUnits>(int64_t first) HWY_ATTR {
    constexpr int64_t kWide = kUnits * kVectors;
    const int64_t offset = first / kUnit * static_cast<int64_t>(U::kBytes);
    VF sum[kRows][kWide];
    WEFT_UNROLL
    for (int64_t m = 0; m < kRows; ++m) {
      WEFT_UNROLL
      for (int64_t v = 0; v < kWide; ++v) {
        sum[m][v] = hn::LoadU(df, sums + m * stride + first + v * kLanes);
        if (factor != nullptr) sum[m][v] = hn::Mul(sum[m][v], hn::Set(df, factor[m]));
      }
    }
    for (int64_t j = 0; j < keys; ++j) {
      WEFT_UNROLL
      for (int64_t u = 0; u < kUnits; ++u) {
        const U unit(at[j] + offset + u * static_cast<int64_t>(U::kBytes));
        WEFT_UNROLL
        for (int64_t v = 0; v < kVectors; ++v) {
          const VF value = unit.get(v);
          WEFT_UNROLL
          for (int64_t m = 0; m < kRows; ++m) {
            VF& to = sum[m][u * kVectors + v];
            to = hn::MulAdd(hn::Set(df, weights[m * kBlockKeys + j]), value, to);
          }
        }
      }
    }
    WEFT_UNROLL
    for (int64_t m = 0; m < kRows; ++m) {
      WEFT_UNROLL
      for (int64_t v = 0; v < kWide; ++v) hn::StoreU(sum[m][v], df, sums + m * stride + first + v * kLanes);
    }
  };
  // As many units at a time as leave the sums in registers.
  constexpr int64_t kUnits = HWY_TARGET <= HWY_AVX3 ? 2 : 1;
  int64_t i = 0;
  for (; i + kUnits * kUnit <= width; i += kUnits * kUnit) part.template operator()<kUnits>(i);
  for (; i < width; i += kUnit) part.template operator()<1>(i);
}

// Calls run<rows>(r) for the rows of a head, a few at a time.
template <class Run>
HWY_INLINE void each_rows(int64_t rows, const Run& run) {
  int64_t r = 0;
  for (; r + kMostRows <= rows; r += kMostRows) run.template operator()<kMostRows>(r);
  switch (rows - r) {
    case 1: return run.template operator()<1>(r);
    case 2: return run.template operator()<2>(r);
    case 3: return run.template operator()<3>(r);
    default: return;
  }
}

template <Format kFormat>
void dot_heads_of(const HeadRows& right, const float* const* lhs, int64_t head_rows, float* const* out, Ahead& ahead) {
  for (int64_t j = 0; j < right.keys; j += 4) {
    for (int64_t h = 0; h < right.heads; ++h) {
      ahead.ask(4);
      // Fewer than four: the last one again, whose results are overwritten or beyond the keys.
      const uint8_t* at[4];
      for (int64_t i = 0; i < 4; ++i) {
        const std::byte* row = right.rows[std::min(j + i, right.keys - 1)];
        at[i] = reinterpret_cast<const uint8_t*>(row) + h * right.head_bytes;
      }
      each_rows(head_rows, [&]<int64_t kRows>(int64_t r) HWY_ATTR {
        dot_four<kFormat, kRows>(at, right.width, lhs + h * head_rows + r, out + h * head_rows + r, j);
      });
    }
  }
}

template <Format kFormat>
void weigh_heads_of(const HeadRows& values, const float* weights, int64_t head_rows, const float* factor, float* sums,
                    int64_t stride, Ahead& ahead) {
  constexpr int64_t kKeys = 8;  // for each of which the sums are loaded and stored once
  for (int64_t j = 0; j < values.keys; j += kKeys) {
    const int64_t keys = std::min(kKeys, values.keys - j);
    for (int64_t h = 0; h < values.heads; ++h) {
      ahead.ask(kKeys);
      const uint8_t* at[kKeys];
      for (int64_t i = 0; i < keys; ++i)
        at[i] = reinterpret_cast<const uint8_t*>(values.rows[j + i]) + h * values.head_bytes;
      each_rows(head_rows, [&]<int64_t kRows>(int64_t r) HWY_ATTR {
        const int64_t row = h * head_rows + r;
        weigh_keys<kFormat, kRows>(at, keys, values.width, weights + row * kBlockKeys + j,
                                   j == 0 ? factor + row : nullptr, sums + row * stride, stride);
      });
    }
  }
}

void dot_any_heads(const HeadRows& right, const float* const* lhs, int64_t head_rows, float* const* out, Ahead& ahead) {
  switch (right.format) {
    case Format::f32: return dot_heads_of<Format::f32>(right, lhs, head_rows, out, ahead);
    case Format::f16: return dot_heads_of<Format::f16>(right, lhs, head_rows, out, ahead);
    case Format::bf16: return dot_heads_of<Format::bf16>(right, lhs, head_rows, out, ahead);
    default: return dot_heads_of<Format::q8_0>(right, lhs, head_rows, out, ahead);
  }
}

void weigh_any_heads(const HeadRows& values, const float* weights, int64_t head_rows, const float* factor, float* sums,
                     int64_t stride, Ahead& ahead) {
  switch (values.format) {
    case Format::f32: return weigh_heads_of<Format::f32>(values, weights, head_rows, factor, sums, stride, ahead);
    case Format::f16: return weigh_heads_of<Format::f16>(values, weights, head_rows, factor, sums, stride, ahead);
    case Format::bf16: return weigh_heads_of<Format::bf16>(values, weights, head_rows, factor, sums, stride, ahead);
    default: return weigh_heads_of<Format::q8_0>(values, weights, head_rows, factor, sums, stride, ahead);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {
HWY_EXPORT(dot_any_heads);
HWY_EXPORT(weigh_any_heads);

bool reads_head_rows(Format format, int64_t width) {
  constexpr int64_t kUnit = 32;
  const bool known = format == Format::f32 || format == Format::f16 || format == Format::bf16 || format == Format::q8_0;
  return known && width > 0 && width % kUnit == 0;
}

void dot_heads(const HeadRows& right, const float* const* lhs, int64_t head_rows, float* const* out, Ahead& ahead) {
  HWY_DYNAMIC_DISPATCH(dot_any_heads)(right, lhs, head_rows, out, ahead);
}

void add_weighted_heads(const HeadRows& values, const float* weights, int64_t head_rows, const SoftmaxState& state,
                        float* sums, int64_t stride, Ahead& ahead) {
  HWY_DYNAMIC_DISPATCH(weigh_any_heads)(values, weights, head_rows, state.factor, sums, stride, ahead);
}

}  // namespace weft
#endif

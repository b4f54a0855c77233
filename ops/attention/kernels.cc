#include "ops/attention/kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/attention/kernels.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ops/cpu/decode-inl.h"
#include "ops/cpu/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr int64_t kStep = kLanes;
static_assert(kBlockKeys % kLanes == 0 && kWidthGrain % kLanes == 0);

// exp(scores - largest), with rows' maxima raised first; `score(r, j)` gives a vector of scores.
template <class Score>
HWY_INLINE void soften(float* HWY_RESTRICT scores, int64_t first, int64_t last, int64_t keys, SoftmaxState& state,
                       const Score& score) {
  const DF df;
  const int64_t padded = (keys + kStep - 1) / kStep * kStep;
  float before[kTileRows + kLanes] = {}, base[kTileRows + kLanes] = {};
  for (int64_t r = first; r < last; ++r) {
    float* row = scores + r * kBlockKeys;
    auto largest = hn::Set(df, state.largest[r]);
    for (int64_t j = 0; j < padded; j += kStep) {
      const auto s = score(r, j);
      hn::Store(s, df, row + j);
      largest = hn::IfThenElse(hn::Lt(largest, s), s, largest);  // a NaN never is the largest
    }
    before[r] = state.largest[r];
    state.largest[r] = hn::GetLane(hn::MaxOfLanes(df, largest));
    base[r] = state.largest[r] == kNever ? 0.0f : state.largest[r];
  }
  for (int64_t r = first; r < last; r += kStep) {
    const auto change = hn::Sub(hn::LoadU(df, before + r), hn::LoadU(df, base + r));
    hn::StoreU(VectorExpOfNegative(df, change), df, state.factor + r);
  }
  for (int64_t r = first; r < last; ++r) {
    float* row = scores + r * kBlockKeys;
    const auto largest = hn::Set(df, base[r]);
    auto total = hn::Zero(df);
    for (int64_t j = 0; j < padded; j += kStep) {
      const auto weight = VectorExpOfNegative(df, hn::Sub(hn::Load(df, row + j), largest));
      hn::Store(weight, df, row + j);
      total = hn::Add(total, weight);
    }
    state.total[r] = state.total[r] * state.factor[r] + hn::GetLane(hn::SumOfLanes(df, total));
  }
}

void soften_scores(float* scores, int64_t first, int64_t last, int64_t keys, SoftmaxState& state) {
  const DF df;
  for (int64_t r = first; r < last; ++r)
    std::fill(scores + r * kBlockKeys + keys, scores + (r + 1) * kBlockKeys, kNever);
  soften(scores, first, last, keys, state,
         [&](int64_t r, int64_t j) HWY_ATTR { return hn::Load(df, scores + r * kBlockKeys + j); });
}

void soften_causal(float* scores, int64_t first, int64_t last, int64_t keys, float scale, const int32_t* row_position,
                   const int32_t* key_position, SoftmaxState& state) {
  const DF df;
  const hn::RebindToSigned<DF> di;
  const auto factor = hn::Set(df, scale);
  const auto never = hn::Set(df, kNever);
  const auto scaled = [&](int64_t r, int64_t j)
                          HWY_ATTR { return hn::Mul(hn::Load(df, scores + r * kBlockKeys + j), factor); };
  if (key_position == nullptr && keys == kBlockKeys) {
    soften(scores, first, last, keys, state, scaled);
    return;
  }
  alignas(64) int32_t at[kBlockKeys];
  for (int64_t j = 0; j < kBlockKeys; ++j) at[j] = j < keys && key_position != nullptr ? key_position[j] : 0;
  const auto count = hn::Set(di, static_cast<int32_t>(keys));
  soften(scores, first, last, keys, state, [&](int64_t r, int64_t j) HWY_ATTR {
    const int32_t position = row_position != nullptr ? row_position[r] : 0;
    const auto beyond = hn::Gt(hn::Load(di, at + j), hn::Set(di, position));
    const auto absent = hn::Not(hn::Lt(hn::Iota(di, static_cast<int32_t>(j)), count));
    return hn::IfThenElse(hn::RebindMask(df, hn::Or(beyond, absent)), never, scaled(r, j));
  });
  for (int64_t r = first; r < last; ++r) std::fill(scores + r * kBlockKeys + keys, scores + (r + 1) * kBlockKeys, 0.0f);
}

// The weights w that were summed before are now f * w, which makes f * (sum w log w + log f * sum w) of their sum.
void weigh_logs(const float* HWY_RESTRICT weights, int64_t first, int64_t last, int64_t keys, const float* total_before,
                const SoftmaxState& state, float* logs) {
  const DF df;
  for (int64_t r = first; r < last; ++r) {
    auto sum = hn::Zero(df);
    for (int64_t j = 0; j < keys; j += kStep) {
      const auto weight = hn::Load(df, weights + r * kBlockKeys + j);
      const auto log = hn::IfThenZeroElse(hn::Eq(weight, hn::Zero(df)), VectorLog(df, weight));
      sum = hn::MulAdd(weight, log, sum);
    }
    const float factor = state.factor[r];
    const float before = factor == 0 ? 0.0f : factor * (logs[r] + std::log(factor) * total_before[r]);
    logs[r] = before + hn::GetLane(hn::SumOfLanes(df, sum));
  }
}

// kRows query rows by kWide vectors of the values, kept in registers for all keys.
template <int64_t kRows, int64_t kWide>
HWY_INLINE void weigh(const float* const* values, int64_t keys, int64_t first, const float* weights,
                      const float* factor, float* sums, int64_t stride) {
  const DF df;
  VF sum[kRows][kWide];
  WEFT_UNROLL
  for (int64_t r = 0; r < kRows; ++r) {
    WEFT_UNROLL
    for (int64_t v = 0; v < kWide; ++v) {
      const float* at = sums + r * stride + first + v * kLanes;
      sum[r][v] = hn::Mul(hn::Set(df, factor[r]), hn::Load(df, at));
    }
  }
  for (int64_t j = 0; j < keys; ++j) {
    VF value[kWide];
    WEFT_UNROLL
    for (int64_t v = 0; v < kWide; ++v) value[v] = hn::LoadU(df, values[j] + first + v * kLanes);
    WEFT_UNROLL
    for (int64_t r = 0; r < kRows; ++r) {
      const VF weight = hn::Set(df, weights[r * kBlockKeys + j]);
      WEFT_UNROLL
      for (int64_t v = 0; v < kWide; ++v) sum[r][v] = hn::MulAdd(weight, value[v], sum[r][v]);
    }
  }
  WEFT_UNROLL
  for (int64_t r = 0; r < kRows; ++r) {
    WEFT_UNROLL
    for (int64_t v = 0; v < kWide; ++v) {
      hn::Store(sum[r][v], df, sums + r * stride + first + v * kLanes);
    }
  }
}

template <int64_t kRows>
HWY_INLINE void weigh_rows(const float* const* values, int64_t keys, int64_t width, const float* weights,
                           const float* factor, float* sums, int64_t stride) {
  constexpr int64_t kWide = HWY_TARGET <= HWY_AVX3 ? 4 : 2;
  int64_t i = 0;
  for (; i + kWide * kStep <= width; i += kWide * kStep) {
    weigh<kRows, kWide>(values, keys, i, weights, factor, sums, stride);
  }
  for (; i + kStep <= width; i += kStep) weigh<kRows, 1>(values, keys, i, weights, factor, sums, stride);
  for (; i < width; ++i) {
    for (int64_t r = 0; r < kRows; ++r) {
      float sum = sums[r * stride + i] * factor[r];
      for (int64_t j = 0; j < keys; ++j) sum += weights[r * kBlockKeys + j] * values[j][i];
      sums[r * stride + i] = sum;
    }
  }
}

void weigh_all(const float* const* values, int64_t keys, int64_t width, const float* weights, int64_t first,
               int64_t last, const SoftmaxState& state, float* sums, int64_t stride) {
  constexpr int64_t kRows = HWY_TARGET <= HWY_AVX3 ? 6 : 4;
  int64_t r = first;
  for (; r + kRows <= last; r += kRows) {
    weigh_rows<kRows>(values, keys, width, weights + r * kBlockKeys, state.factor + r, sums + r * stride, stride);
  }
  for (; r + 2 <= last; r += 2) {
    weigh_rows<2>(values, keys, width, weights + r * kBlockKeys, state.factor + r, sums + r * stride, stride);
  }
  if (r < last)
    weigh_rows<1>(values, keys, width, weights + r * kBlockKeys, state.factor + r, sums + r * stride, stride);
}

void scale(const float* sums, int64_t count, float factor, float* out) {
  const DF df;
  const auto by = hn::Set(df, factor);
  int64_t i = 0;
  for (; i + kStep <= count; i += kStep) hn::StoreU(hn::Mul(hn::LoadU(df, sums + i), by), df, out + i);
  for (; i < count; ++i) out[i] = sums[i] * factor;
}

bool finite(const float* values, int64_t count) {
  const DF df;
  const auto limit = hn::Set(df, std::numeric_limits<float>::max());
  int64_t i = 0;
  for (; i + kStep <= count; i += kStep) {
    if (!hn::AllTrue(df, hn::Le(hn::Abs(hn::LoadU(df, values + i)), limit))) return false;
  }
  for (; i < count; ++i) {
    if (!std::isfinite(values[i])) return false;
  }
  return true;
}

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {
HWY_EXPORT(soften_scores);
HWY_EXPORT(soften_causal);
HWY_EXPORT(weigh_logs);
HWY_EXPORT(weigh_all);
HWY_EXPORT(scale);
HWY_EXPORT(finite);

void reset(SoftmaxState& state, int64_t rows) {
  std::fill(state.largest, state.largest + rows, -std::numeric_limits<float>::infinity());
  std::fill(state.total, state.total + rows, 0.0f);
}

RowSoftmax with_sink(const RowSoftmax& row, float sink) {
  const float largest = sink > row.largest ? sink : row.largest;  // a NaN never is the largest
  const float keep = std::exp(row.largest - largest), weight = std::exp(sink - largest);
  const float logs = keep == 0 ? 0.0f : keep * (row.logs + (row.largest - largest) * row.total);
  return {largest, row.total * keep + weight, logs + (weight == 0 ? 0.0f : weight * (sink - largest))};
}

void softmax_block(float* scores, int64_t first, int64_t last, int64_t keys, SoftmaxState& state) {
  HWY_DYNAMIC_DISPATCH(soften_scores)(scores, first, last, keys, state);
}

void softmax_causal_block(float* scores, int64_t first, int64_t last, int64_t keys, float scale,
                          const int32_t* row_position, const int32_t* key_position, SoftmaxState& state) {
  HWY_DYNAMIC_DISPATCH(soften_causal)(scores, first, last, keys, scale, row_position, key_position, state);
}

void add_weighted_logs(const float* weights, int64_t first, int64_t last, int64_t keys, const float* total_before,
                       const SoftmaxState& state, float* logs) {
  HWY_DYNAMIC_DISPATCH(weigh_logs)(weights, first, last, keys, total_before, state, logs);
}

void add_weighted(const float* const* values, int64_t keys, int64_t width, const float* weights, int64_t first,
                  int64_t last, const SoftmaxState& state, float* sums, int64_t stride) {
  HWY_DYNAMIC_DISPATCH(weigh_all)(values, keys, width, weights, first, last, state, sums, stride);
}

void add_weighted_carefully(const float* const* values, int64_t keys, int64_t width, const float* weights,
                            int64_t first, int64_t last, const SoftmaxState& state, float* sums, int64_t stride) {
  for (int64_t r = first; r < last; ++r) {
    float* row = sums + r * stride;
    for (int64_t i = 0; i < width; ++i) row[i] = state.factor[r] == 0 ? 0.0f : row[i] * state.factor[r];
    for (int64_t j = 0; j < keys; ++j) {
      const float weight = weights[r * kBlockKeys + j];
      if (weight == 0) continue;
      for (int64_t i = 0; i < width; ++i) row[i] += weight * values[j][i];
    }
  }
}

bool all_finite(const float* values, int64_t count) { return HWY_DYNAMIC_DISPATCH(finite)(values, count); }

void scale_row(const float* sums, int64_t count, float factor, float* out) {
  HWY_DYNAMIC_DISPATCH(scale)(sums, count, factor, out);
}

}  // namespace weft
#endif

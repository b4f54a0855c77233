#include "ops/rope/cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/rope/cpu.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "ops/cpu/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::CappedTag<float, 16>;
using VF = hn::Vec<DF>;

void RotationTable(int32_t position, const float* frequencies, size_t pairs, float scale, float* cosines,
                   float* sines) {
  const DF df;
  const size_t lanes = hn::Lanes(df);
  const auto at = static_cast<float>(position);
  for (size_t i = 0; i < pairs; i += lanes) {
    const size_t n = HWY_MIN(lanes, pairs - i);
    HWY_ALIGN float block[16] = {};
    const float* from = frequencies + i;
    if (n < lanes) {
      for (size_t j = 0; j < n; ++j) block[j] = from[j];
      from = block;
    }
    VF sin, cos;
    VectorSinCos(df, hn::Mul(hn::Set(df, at), hn::LoadU(df, from)), sin, cos);
    sin = hn::Mul(sin, hn::Set(df, scale));
    cos = hn::Mul(cos, hn::Set(df, scale));
    if (n == lanes) {
      hn::StoreU(sin, df, sines + i);
      hn::StoreU(cos, df, cosines + i);
    } else {
      hn::Store(sin, df, block);
      for (size_t j = 0; j < n; ++j) sines[i + j] = block[j];
      hn::Store(cos, df, block);
      for (size_t j = 0; j < n; ++j) cosines[i + j] = block[j];
    }
  }
}

HWY_INLINE void TurnOne(float& x, float& y, float cos, float sin) {
  const float first = x, second = y;
  x = first * cos - second * sin;
  y = first * sin + second * cos;
}

// One line of consecutive elements; pairs lie half a line apart.
void HalfSplit(float* line, size_t pairs, const float* cosines, const float* sines) {
  const DF df;
  const size_t lanes = hn::Lanes(df);
  float* other = line + pairs;
  size_t i = 0;
  for (; i + lanes <= pairs; i += lanes) {
    const VF x = hn::LoadU(df, line + i), y = hn::LoadU(df, other + i);
    const VF c = hn::LoadU(df, cosines + i), s = hn::LoadU(df, sines + i);
    hn::StoreU(hn::NegMulAdd(y, s, hn::Mul(x, c)), df, line + i);
    hn::StoreU(hn::MulAdd(x, s, hn::Mul(y, c)), df, other + i);
  }
  for (; i < pairs; ++i) TurnOne(line[i], other[i], cosines[i], sines[i]);
}

// One line of consecutive elements; pairs are neighbours.
void Interleaved(float* line, size_t pairs, const float* cosines, const float* sines) {
  const DF df;
  const size_t lanes = hn::Lanes(df);
  size_t i = 0;
  for (; i + lanes <= pairs; i += lanes) {
    VF x, y;
    hn::LoadInterleaved2(df, line + 2 * i, x, y);
    const VF c = hn::LoadU(df, cosines + i), s = hn::LoadU(df, sines + i);
    hn::StoreInterleaved2(hn::NegMulAdd(y, s, hn::Mul(x, c)), hn::MulAdd(x, s, hn::Mul(y, c)), df, line + 2 * i);
  }
  for (; i < pairs; ++i) TurnOne(line[2 * i], line[2 * i + 1], cosines[i], sines[i]);
}

// `n` elements of two adjacent groups of lines, all by one angle.
void TurnGroup(float* first, float* second, size_t n, float cos, float sin) {
  const DF df;
  const size_t lanes = hn::Lanes(df);
  const VF c = hn::Set(df, cos), s = hn::Set(df, sin);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const VF x = hn::LoadU(df, first + i), y = hn::LoadU(df, second + i);
    hn::StoreU(hn::NegMulAdd(y, s, hn::Mul(x, c)), df, first + i);
    hn::StoreU(hn::MulAdd(x, s, hn::Mul(y, c)), df, second + i);
  }
  for (; i < n; ++i) TurnOne(first[i], second[i], cos, sin);
}

void RotateLines(float* line, int64_t stride, int64_t width, size_t pairs, RopePairs order, const float* cosines,
                 const float* sines, int64_t count, int64_t step) {
  const bool half_split = order == RopePairs::half_split;
  for (; count > 0; --count, line += step) {
    if (stride == 1) {
      if (half_split) HalfSplit(line, pairs, cosines, sines);
      else Interleaved(line, pairs, cosines, sines);
      continue;
    }
    for (size_t i = 0; i < pairs; ++i) {
      const size_t first = half_split ? i : 2 * i;
      const size_t second = half_split ? i + pairs : 2 * i + 1;
      TurnGroup(line + static_cast<int64_t>(first) * stride, line + static_cast<int64_t>(second) * stride,
                static_cast<size_t>(width), cosines[i], sines[i]);
    }
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {

HWY_EXPORT(RotationTable);
HWY_EXPORT(RotateLines);

void rotation_table(int32_t position, const float* frequencies, size_t pairs, float scale, float* cosines,
                    float* sines) {
  HWY_DYNAMIC_DISPATCH(RotationTable)(position, frequencies, pairs, scale, cosines, sines);
}

void rotate_lines(float* line, int64_t stride, int64_t width, size_t pairs, RopePairs order, const float* cosines,
                  const float* sines, int64_t count, int64_t step) {
  HWY_DYNAMIC_DISPATCH(RotateLines)(line, stride, width, pairs, order, cosines, sines, count, step);
}

}  // namespace weft
#endif  // HWY_ONCE

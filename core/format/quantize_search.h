// Shared by the quantizers, which are the `encode` of the formats' traits: grids of levels, least-squares fits, and the
// search for a scale.
//
// A quantizer searches for the scales (and offsets) that give the least sum of squared errors in a block, measured with
// the scales as they will be stored. It is deterministic. Values are finite; those beyond the reach of the format's
// scales are clamped (an f16 scale ends at 65504).
//
// A block is first multiplied by a power of two so that its largest magnitude is in [0.5, 1): sums of squares then
// neither overflow nor vanish, whatever the size of the weights. Scales are found in that range and rounded to
// what f16 can hold.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "core/format/format.h"
#include "core/format/packing.h"

namespace weft::quantize_detail {

inline constexpr int kSuperBlock = 256;  // elements of the blocks whose groups have scales

// A block of N values times 2^-exponent, and the way back to stored scales.
template <int N>
struct Normalized {
  alignas(64) std::array<float, N> values;
  int exponent = 0;
  bool zero = false;

  explicit Normalized(const float* in) {
    float largest = 0;
    for (int i = 0; i < N; ++i) largest = std::max(largest, std::fabs(in[i]));
    zero = largest == 0;
    if (!zero) std::frexp(largest, &exponent);
    for (int i = 0; i < N; ++i) values[static_cast<size_t>(i)] = std::ldexp(in[i], -exponent);
  }
  const float* data() const { return values.data(); }

  // The f16 nearest to a scale of the normalized values, clamped to the largest finite one.
  uint16_t stored(float scale) const {
    const float value = std::clamp(std::ldexp(scale, exponent), -65504.0f, 65504.0f);
    return f32_to_f16(value);
  }
  // The scale of the normalized values that corresponds to a stored one.
  float loaded(uint16_t bits) const { return std::ldexp(f16_to_f32(bits), -exponent); }
};

inline float inverse_or_zero(float x) { return x != 0 ? 1.0f / x : 0.0f; }

// To the nearest integer, ties to even, for |x| < 2^22; unlike std::nearbyint it is vectorized everywhere.
inline float round_near(float x) { return (x + 12582912.0f) - 12582912.0f; }

inline float limit(float x, float low, float high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

// Levels low, low + 1 ... high.
struct UniformGrid {
  float low, high;

  float nearest(float x) const { return round_near(limit(x, low, high)); }
  int index(float x) const { return static_cast<int>(nearest(x) - low); }
  // Magnitude of the longer side; the extreme of a block is mapped to it.
  float reach() const { return std::max(-low, high); }
};

// The 16 levels of IQ4_NL and IQ4_XS, which lie closer together near zero.
struct NonlinearGrid {
  static constexpr float step(int i) { return static_cast<float>(kIq4Values[i + 1] - kIq4Values[i]); }
  static constexpr float middle(int i) { return 0.5f * static_cast<float>(kIq4Values[i] + kIq4Values[i + 1]); }

  float nearest(float x) const {
    float level = kIq4Values[0];
    for (int i = 0; i < 15; ++i) level += x > middle(i) ? step(i) : 0.0f;
    return level;
  }
  int index(float x) const {
    int below = 0;
    for (int i = 0; i < 15; ++i) below += x > middle(i) ? 1 : 0;
    return below;
  }
  float reach() const { return 127; }
};

// Sums over N values x and their levels q.
struct ScaleSums {
  float xq = 0, qq = 0;
};
template <int N, class Grid>
ScaleSums scale_sums(const Grid& grid, const float* x, float inverse) {
  float xq = 0, qq = 0;
#pragma omp simd reduction(+ : xq, qq)
  for (int i = 0; i < N; ++i) {
    const float q = grid.nearest(x[i] * inverse);
    xq += x[i] * q;
    qq += q * q;
  }
  return {xq, qq};
}

// Sum of (x - scale q)^2.
template <int N, class Grid>
float scale_error(const Grid& grid, const float* x, float scale) {
  const float inverse = inverse_or_zero(scale);
  float error = 0;
#pragma omp simd reduction(+ : error)
  for (int i = 0; i < N; ++i) {
    const float difference = x[i] - scale * grid.nearest(x[i] * inverse);
    error += difference * difference;
  }
  return error;
}

// The scale of x ~ scale * q, by least squares, for the best of several assignments of levels; and the weight `qq`
// of its square, by which the error grows with the distance from it.
struct ScaleFit {
  float scale = 0, qq = 0;
};
template <int N, class Grid>
ScaleFit fit_scale(const Grid& grid, const float* x) {
  float largest = 0;
  for (int i = 0; i < N; ++i) largest = std::max(largest, std::fabs(x[i]));
  if (largest < 1e-15f) return {};  // its squares vanish beside a block whose largest value is at least 0.5
  ScaleFit best;
  float most = -1;  // of what the fit explains: sum x^2 - error = xq^2 / qq
  const auto consider = [&](float inverse) {
    const ScaleSums sums = scale_sums<N>(grid, x, inverse);
    if (!(sums.qq > 0) || sums.xq * sums.xq <= most * sums.qq) return false;
    most = sums.xq * sums.xq / sums.qq;
    best = {sums.xq / sums.qq, sums.qq};
    return true;
  };
  // From an extreme that is cut by an eighth to one that leaves a fifth of the levels unused, in both directions:
  // grids reach further on one side.
  constexpr float kReach[] = {0.80f, 0.85f, 0.90f, 0.94f, 0.97f, 1.0f, 1.03f, 1.06f, 1.09f, 1.13f};
  for (const float part : kReach) {
    consider(part * grid.reach() / largest);
    consider(-part * grid.reach() / largest);
  }
  for (int round = 0; round < 3; ++round) {
    if (!consider(1.0f / best.scale)) break;
  }
  return best;
}

// Sums over N values x and their levels q of x ~ scale * q + offset.
struct OffsetSums {
  float q = 0, qq = 0, xq = 0;
};
template <int N>
OffsetSums offset_sums(const UniformGrid& grid, const float* x, float inverse, float offset) {
  float sum = 0, qq = 0, xq = 0;
#pragma omp simd reduction(+ : sum, qq, xq)
  for (int i = 0; i < N; ++i) {
    const float q = grid.nearest((x[i] - offset) * inverse);
    sum += q;
    qq += q * q;
    xq += x[i] * q;
  }
  return {sum, qq, xq};
}

// Sum of (x - scale q - offset)^2.
template <int N>
float offset_error(const UniformGrid& grid, const float* x, float scale, float offset) {
  const float inverse = inverse_or_zero(scale);
  float error = 0;
#pragma omp simd reduction(+ : error)
  for (int i = 0; i < N; ++i) {
    const float difference = x[i] - offset - scale * grid.nearest((x[i] - offset) * inverse);
    error += difference * difference;
  }
  return error;
}

// The best scale >= 0 and offset found for x ~ scale * q + offset, with the sums of its levels.
struct OffsetFit {
  float scale = 0, offset = 0;
  OffsetSums sums;
};
// `offset_above_zero`: whether the format can store an offset above 0.
template <int N>
OffsetFit fit_offset(const UniformGrid& grid, const float* x, bool offset_above_zero) {
  float low = x[0], high = x[0];
  for (int i = 1; i < N; ++i) {
    low = std::min(low, x[i]);
    high = std::max(high, x[i]);
  }
  if (!offset_above_zero) low = std::min(low, 0.0f);
  OffsetFit best;
  best.offset = low;
  const float width = high - low;
  if (width < 1e-15f) return best;
  // Fitted relative to the lowest value, so that sums of squares stay meaningful for values far from zero too.
  const float highest_offset = offset_above_zero ? INFINITY : -low;
  std::array<float, N> above;
  float sum = 0, squares = 0;
  for (size_t i = 0; i < N; ++i) {
    above[i] = x[i] - low;
    sum += above[i];
    squares += above[i] * above[i];
  }
  float least = INFINITY;
  const auto consider = [&](float inverse, float offset) {
    OffsetFit fit;
    fit.sums = offset_sums<N>(grid, above.data(), inverse, offset);
    const OffsetSums& s = fit.sums;
    if (!(s.qq > 0)) return false;
    // Where all levels are equal, any offset is as good as another.
    const float determinant = N * s.qq - s.q * s.q;
    if (determinant > 0) offset = (s.qq * sum - s.q * s.xq) / determinant;
    fit.offset = std::min(offset, highest_offset);
    fit.scale = (s.xq - fit.offset * s.q) / s.qq;
    if (!(fit.scale > 0)) return false;
    const float error = squares + fit.offset * (N * fit.offset - 2 * sum) +
                        fit.scale * (fit.scale * s.qq + 2 * (fit.offset * s.q - s.xq));
    if (!(error < least)) return false;
    least = error;
    best = fit;
    return true;
  };
  // Ranges that cut the extremes or leave room beyond them, by this many steps, on one side or on both.
  for (const float cut : {-0.35f, 0.0f, 0.4f, 0.8f, 1.2f, 1.6f}) {
    const float step = width / (grid.high + std::min(cut, 0.5f * grid.high));
    const float slack = width - grid.high * step;
    for (const float part : {0.0f, 0.5f, 1.0f}) consider(1.0f / step, part * slack);
  }
  if (highest_offset < width) consider(grid.high / (width - highest_offset), highest_offset);
  for (int round = 0; round < 3 && least < INFINITY; ++round) {
    if (!consider(1.0f / best.scale, best.offset)) break;
  }
  best.offset += low;
  return best;
}

}  // namespace weft::quantize_detail

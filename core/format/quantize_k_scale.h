// Quantizers of 256 elements whose groups have a signed integer scale each, times a scale of the block: an element is
// d * s * q.
#pragma once

#include "core/format/quantize_search.h"

namespace weft::quantize_detail {

template <size_t Groups>
struct ScaledBlock {
  uint16_t scale = 0;
  std::array<int, Groups> group_scales{};
  std::array<int, kSuperBlock> levels{};  // indices from the lowest level
};

// The integer scales of all groups for a given d, each the neighbour of the group's fitted scale that leaves the
// least error, and that error.
template <int N, class Grid, size_t Groups>
float choose_scales(const Grid& grid, const float* x, const std::array<ScaleFit, Groups>& fits, float d, float low,
                    float high, std::array<int, Groups>& chosen) {
  const float inverse = inverse_or_zero(d);
  float total = 0;
  for (size_t g = 0; g < Groups; ++g) {
    const float* values = x + N * g;
    const float middle = round_near(limit(fits[g].scale * inverse, low, high));
    float least = INFINITY;
    for (const float s : {middle, middle - 1, middle + 1}) {
      if (s < low || s > high) continue;
      const float error = scale_error<N>(grid, values, d * s);
      if (error < least) {
        least = error;
        chosen[g] = static_cast<int>(s);
      }
    }
    total += least;
  }
  return total;
}

// The d that fits the groups' scales best, each rounded to an integer multiple of it: by the parabolas around
// them.
template <size_t Groups>
float search_block_scale(const std::array<ScaleFit, Groups>& fits, float low, float high) {
  float extreme = 0;
  for (const ScaleFit& fit : fits) {
    if (std::fabs(fit.scale) > std::fabs(extreme)) extreme = fit.scale;
  }
  float best = 0, least = INFINITY;
  const auto consider = [&](float d) {
    const float inverse = 1.0f / d;
    float error = 0, sq = 0, ss = 0;
    for (const ScaleFit& fit : fits) {
      const float s = round_near(limit(fit.scale * inverse, low, high));
      const float away = fit.scale - d * s;
      error += fit.qq * away * away;
      sq += fit.qq * fit.scale * s;
      ss += fit.qq * s * s;
    }
    if (error < least && ss > 0) {
      least = error;
      best = sq / ss;  // least squares for these integers
    }
  };
  const int steps = 12;
  for (int i = -2; i <= steps; ++i) {
    const float part = 1.0f + 0.25f * static_cast<float>(i) / steps;
    consider(extreme * part / low);
    consider(extreme * part / high);
  }
  return best;
}

template <int N, class Grid, size_t Groups = kSuperBlock / N>
ScaledBlock<Groups> scaled_groups(const Grid& grid, const float* in, float low, float high) {
  ScaledBlock<Groups> result;
  const Normalized<kSuperBlock> block(in);
  result.levels.fill(grid.index(0));
  if (block.zero) return result;
  const float* x = block.data();
  std::array<ScaleFit, Groups> fits;
  for (size_t g = 0; g < Groups; ++g) fits[g] = fit_scale<N>(grid, x + N * g);

  float least = INFINITY;
  uint16_t bits = block.stored(search_block_scale<Groups>(fits, low, high));
  if ((bits & 0x7fff) == 0) bits = 1;  // the smallest scale, rather than losing the block
  for (int round = 0; round < 3; ++round) {
    const float d = block.loaded(bits);
    std::array<int, Groups> scales;
    const float error = choose_scales<N>(grid, x, fits, d, low, high, scales);
    if (!(error < least)) break;
    least = error;
    result.scale = bits;
    result.group_scales = scales;
    // d by least squares for the levels that this choice leads to.
    float xv = 0, vv = 0;
    for (size_t g = 0; g < Groups; ++g) {
      const auto s = static_cast<float>(scales[g]);
      const ScaleSums sums = scale_sums<N>(grid, x + N * g, inverse_or_zero(d * s));
      xv += s * sums.xq;
      vv += s * s * sums.qq;
    }
    if (!(vv > 0)) break;
    bits = block.stored(xv / vv);
  }
  for (size_t g = 0; g < Groups; ++g) {
    const float inverse = inverse_or_zero(block.loaded(result.scale) * static_cast<float>(result.group_scales[g]));
    for (size_t i = N * g; i < N * (g + 1); ++i) result.levels[i] = grid.index(x[i] * inverse);
  }
  return result;
}

}  // namespace weft::quantize_detail

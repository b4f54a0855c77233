// Quantizers of 256 elements whose groups have an integer scale and an integer minimum each, times a scale and a
// minimum of the block: an element is d * s * q - dmin * m, where only the whole can be negative.
#pragma once

#include "core/format/quantize_search.h"

namespace weft::quantize_detail {

template <size_t Groups>
struct OffsetBlock {
  uint16_t scale = 0, minimum = 0;
  std::array<uint8_t, Groups> scales{}, minimums{};
  std::array<int, kSuperBlock> levels{};
};

// Scale and minimum of a group as integers.
struct Pair {
  float s = 0, m = 0;
};

// For given d and dmin: an integer scale near the fitted one, and the minimum that suits it.
template <int N>
Pair pair_for(const OffsetFit& fit, float s, float d, float inverse_minimum, float most) {
  // With q fixed, a scale that is off by e shifts the best offset by -e * mean(q).
  const float offset = fit.offset + (fit.scale - d * s) * (fit.sums.q / N);
  return {s, round_near(limit(-offset * inverse_minimum, 0, most))};
}

template <int N, size_t Groups>
float choose_pairs(const UniformGrid& grid, const float* x, const std::array<OffsetFit, Groups>& fits, float d,
                   float dmin, float most, std::array<Pair, Groups>& chosen) {
  const float inverse = inverse_or_zero(d), inverse_minimum = inverse_or_zero(dmin);
  float total = 0;
  for (size_t g = 0; g < Groups; ++g) {
    const float middle = round_near(limit(fits[g].scale * inverse, 0, most));
    float least = INFINITY;
    for (const float s : {middle, middle - 1, middle + 1}) {
      if (s < 0 || s > most) continue;
      const Pair pair = pair_for<N>(fits[g], s, d, inverse_minimum, most);
      const float error = offset_error<N>(grid, x + N * g, d * pair.s, -dmin * pair.m);
      if (error < least) {
        least = error;
        chosen[g] = pair;
      }
    }
    total += least;
  }
  return total;
}

// The d and dmin that fit the groups best: by the paraboloids around their fits.
struct BlockScales {
  float d = 0, dmin = 0;
};
template <int N, size_t Groups>
BlockScales search_block_scales(const std::array<OffsetFit, Groups>& fits, float most) {
  float largest = 0, lowest = 0;
  for (const OffsetFit& fit : fits) {
    largest = std::max(largest, fit.scale);
    lowest = std::min(lowest, fit.offset);
  }
  BlockScales best;
  float least = INFINITY;
  for (int i = -1; i <= 5; ++i) {
    const float d = largest / (most + 0.06f * most * static_cast<float>(-i) / 5);
    for (int j = -1; j <= 5; ++j) {
      const float dmin = -lowest / (most + 0.06f * most * static_cast<float>(-j) / 5);
      const float inverse = inverse_or_zero(d), inverse_minimum = inverse_or_zero(dmin);
      float error = 0;
      for (const OffsetFit& fit : fits) {
        const Pair pair = pair_for<N>(fit, round_near(limit(fit.scale * inverse, 0, most)), d, inverse_minimum, most);
        const float a = fit.scale - d * pair.s, b = fit.offset + dmin * pair.m;
        error += a * a * fit.sums.qq + 2 * a * b * fit.sums.q + N * b * b;
      }
      if (error < least) {
        least = error;
        best = {d, dmin};
      }
    }
  }
  return best;
}

template <int N, size_t Groups = kSuperBlock / N>
OffsetBlock<Groups> offset_groups(const UniformGrid& grid, const float* in, float most) {
  OffsetBlock<Groups> result;
  const Normalized<kSuperBlock> block(in);
  if (block.zero) return result;
  const float* x = block.data();
  std::array<OffsetFit, Groups> fits;
  for (size_t g = 0; g < Groups; ++g) fits[g] = fit_offset<N>(grid, x + N * g, false);

  const BlockScales found = search_block_scales<N>(fits, most);
  uint16_t scale = block.stored(found.d), minimum = block.stored(found.dmin);
  // The smallest scale, rather than losing the block.
  if (found.d > 0 && scale == 0) scale = 1;
  if (found.dmin > 0 && minimum == 0) minimum = 1;
  std::array<Pair, Groups> chosen{};
  float least = INFINITY;
  for (int round = 0; round < 3; ++round) {
    const float d = block.loaded(scale), dmin = block.loaded(minimum);
    std::array<Pair, Groups> pairs{};
    const float error = choose_pairs<N>(grid, x, fits, d, dmin, most, pairs);
    if (!(error < least)) break;
    least = error;
    result.scale = scale;
    result.minimum = minimum;
    chosen = pairs;
    // d and dmin by least squares for the levels that this choice leads to.
    double uu = 0, uv = 0, vv = 0, xu = 0, xv = 0;  // of x ~ d * u - dmin * v
    for (size_t g = 0; g < Groups; ++g) {
      const Pair& pair = pairs[g];
      const OffsetSums sums = offset_sums<N>(grid, x + N * g, inverse_or_zero(d * pair.s), -dmin * pair.m);
      float total = 0;
      for (size_t i = N * g; i < N * (g + 1); ++i) total += x[i];
      uu += static_cast<double>(pair.s * pair.s * sums.qq);
      uv -= static_cast<double>(pair.s * pair.m * sums.q);
      vv += static_cast<double>(N * pair.m * pair.m);
      xu += static_cast<double>(pair.s * sums.xq);
      xv -= static_cast<double>(pair.m * total);
    }
    const double determinant = uu * vv - uv * uv;
    double new_d = 0, new_dmin = 0;
    if (determinant > 1e-9 * uu * vv) {
      new_d = (xu * vv - xv * uv) / determinant;
      new_dmin = (xv * uu - xu * uv) / determinant;
    } else if (uu > 0) {
      new_d = xu / uu;
    }
    if (!(new_d >= 0) || !(new_dmin >= 0)) break;
    scale = block.stored(static_cast<float>(new_d));
    minimum = block.stored(static_cast<float>(new_dmin));
  }
  const float d = block.loaded(result.scale), dmin = block.loaded(result.minimum);
  for (size_t g = 0; g < Groups; ++g) {
    result.scales[g] = static_cast<uint8_t>(chosen[g].s);
    result.minimums[g] = static_cast<uint8_t>(chosen[g].m);
    const float inverse = inverse_or_zero(d * chosen[g].s), offset = -dmin * chosen[g].m;
    for (size_t i = N * g; i < N * (g + 1); ++i) result.levels[i] = grid.index((x[i] - offset) * inverse);
  }
  return result;
}

// Eight scales and eight minimums of 6 bits in twelve bytes; unpack_6_bit_pairs says how they lie.
inline void put_pairs(const OffsetBlock<8>& block, uint8_t* to) {
  for (size_t g = 0; g < 4; ++g) {
    const unsigned s = block.scales[g + 4], m = block.minimums[g + 4];
    to[g] = static_cast<uint8_t>(block.scales[g] | (s >> 4) << 6);
    to[g + 4] = static_cast<uint8_t>(block.minimums[g] | (m >> 4) << 6);
    to[g + 8] = static_cast<uint8_t>((s & 15u) | (m & 15u) << 4);
  }
}

// The low four bits of 256 levels: in each 64, the first 32 in the low half of a byte, the others in the high
// half.
inline void put_low_bits(const std::array<int, kSuperBlock>& levels, uint8_t* to) {
  for (size_t i = 0; i < kSuperBlock; i += 64) {
    for (size_t j = 0; j < 32; ++j) {
      *to++ = static_cast<uint8_t>((levels[i + j] & 15) | (levels[i + j + 32] & 15) << 4);
    }
  }
}

}  // namespace weft::quantize_detail

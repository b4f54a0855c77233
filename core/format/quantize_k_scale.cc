// Formats of 256 elements whose groups have a signed integer scale each, times a scale of the block: an element is
// d * s * q. Q8_K, which has only one scale, is here too.
#include <cstring>

#include "core/format/quantize.h"
#include "core/format/quantize_search.h"

namespace weft {
namespace {

using namespace quantize_detail;

constexpr int kBlock = 256;

template <size_t Groups>
struct ScaledBlock {
  uint16_t scale = 0;
  std::array<int, Groups> group_scales{};
  std::array<int, kBlock> levels{};  // indices from the lowest level
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

template <int N, class Grid, size_t Groups = kBlock / N>
ScaledBlock<Groups> scaled_block(const Grid& grid, const float* in, float low, float high) {
  ScaledBlock<Groups> result;
  const Normalized<kBlock> block(in);
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

void put_half(uint8_t* to, uint16_t bits) { std::memcpy(to, &bits, sizeof bits); }

}  // namespace

void quantize_q3_k(const float* in, size_t blocks, uint8_t* out) {
  for (; blocks-- > 0; in += kBlock, out += 110) {
    const auto block = scaled_block<16>(UniformGrid{-4, 3}, in, -32, 31);
    std::memset(out, 0, 110);
    for (size_t i = 0; i < kBlock; ++i) {
      const auto level = static_cast<unsigned>(block.levels[i]);
      const size_t run = i % 128 / 32;
      out[q3_k::kLow + i / 128 * 32 + i % 32] |= static_cast<uint8_t>((level & 3u) << (2 * run));
      out[q3_k::kHigh + i % 32] |= static_cast<uint8_t>((level >> 2) << (i / 32));
    }
    for (size_t g = 0; g < 16; ++g) {
      const auto s = static_cast<unsigned>(block.group_scales[g] + 32);
      out[q3_k::kScales + g % 8] |= static_cast<uint8_t>((s & 15u) << (g / 8 * 4));
      out[q3_k::kScales + 8 + g % 4] |= static_cast<uint8_t>((s >> 4) << (g / 4 * 2));
    }
    put_half(out + q3_k::kScale, block.scale);
  }
}

void quantize_q6_k(const float* in, size_t blocks, uint8_t* out) {
  for (; blocks-- > 0; in += kBlock, out += 210) {
    const auto block = scaled_block<16>(UniformGrid{-32, 31}, in, -128, 127);
    std::memset(out, 0, 210);
    for (size_t i = 0; i < kBlock; ++i) {
      const auto level = static_cast<unsigned>(block.levels[i]);
      const size_t half = i / 128, run = i % 128 / 32;
      out[q6_k::kLow + half * 64 + i % 64] |= static_cast<uint8_t>((level & 15u) << (run / 2 * 4));
      out[q6_k::kHigh + half * 32 + i % 32] |= static_cast<uint8_t>((level >> 4) << (2 * run));
    }
    for (size_t g = 0; g < 16; ++g) out[q6_k::kScales + g] = static_cast<uint8_t>(block.group_scales[g]);
    put_half(out + q6_k::kScale, block.scale);
  }
}

void quantize_iq4_xs(const float* in, size_t blocks, uint8_t* out) {
  for (; blocks-- > 0; in += kBlock, out += 136) {
    const auto block = scaled_block<32>(NonlinearGrid{}, in, -32, 31);
    std::memset(out, 0, 136);
    put_half(out + iq4_xs::kScale, block.scale);
    unsigned high = 0;
    for (size_t g = 0; g < 8; ++g) {
      const auto s = static_cast<unsigned>(block.group_scales[g] + 32);
      out[iq4_xs::kScalesLow + g / 2] |= static_cast<uint8_t>((s & 15u) << (g % 2 * 4));
      high |= (s >> 4) << (2 * g);
      for (size_t i = 0; i < 16; ++i) {
        out[iq4_xs::kValues + 16 * g + i] =
            static_cast<uint8_t>(block.levels[32 * g + i] | block.levels[32 * g + 16 + i] << 4);
      }
    }
    put_half(out + iq4_xs::kScalesHigh, static_cast<uint16_t>(high));
  }
}

void quantize_q8_k(const float* in, size_t blocks, uint8_t* out) {
  constexpr UniformGrid grid{-127, 127};
  for (; blocks-- > 0; in += kBlock, out += 292) {
    float largest = 0;
    for (int i = 0; i < kBlock; ++i) largest = std::max(largest, std::fabs(in[i]));
    const float scale = largest / 127.0f;
    std::memcpy(out + q8_k::kScale, &scale, sizeof scale);
    // In double: the inverse of a subnormal scale overflows f32.
    const double inverse = scale != 0 ? 1.0 / static_cast<double>(scale) : 0.0;
    int16_t sums[16] = {};
    for (int i = 0; i < kBlock; ++i) {
      const float q = grid.nearest(static_cast<float>(static_cast<double>(in[i]) * inverse));
      out[q8_k::kValues + static_cast<size_t>(i)] = static_cast<uint8_t>(static_cast<int8_t>(q));
      sums[i / 16] = static_cast<int16_t>(sums[i / 16] + static_cast<int>(q));
    }
    std::memcpy(out + q8_k::kValues + kBlock, sums, sizeof sums);
  }
}

}  // namespace weft

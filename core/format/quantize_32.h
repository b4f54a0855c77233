// Quantizers of blocks of 32 elements that have one scale and, in some formats, an offset.
#pragma once

#include "core/format/packing.h"
#include "core/format/quantize_search.h"

namespace weft::quantize_detail {

inline constexpr int kSmallBlock = 32;

// 16 bytes: low four bits are elements 0..15, high four 16..31; returns the fifth bits, element i at bit i.
inline uint32_t put_nibbles(const std::array<int, kSmallBlock>& levels, uint8_t* to) {
  uint32_t fifth = 0;
  for (size_t i = 0; i < 16; ++i) {
    to[i] = static_cast<uint8_t>((levels[i] & 15) | (levels[i + 16] & 15) << 4);
    fifth |= static_cast<uint32_t>(levels[i] >> 4) << i | static_cast<uint32_t>(levels[i + 16] >> 4) << (i + 16);
  }
  return fifth;
}

// Finds the stored scale that leaves the least error, among the fitted one and its neighbours, and the indices of
// the levels.
template <class Grid>
uint16_t scaled_block(const Grid& grid, const float* in, std::array<int, kSmallBlock>& levels) {
  const Normalized<kSmallBlock> block(in);
  levels.fill(grid.index(0));
  if (block.zero) return 0;
  const ScaleFit fit = fit_scale<kSmallBlock>(grid, block.data());
  const uint16_t nearest = block.stored(fit.scale);
  uint16_t bits = nearest;
  float least = INFINITY;
  for (const int away : {0, -1, 1}) {
    const auto candidate = static_cast<uint16_t>(nearest + away);
    if ((candidate & 0x7fff) > 0x7bff) continue;  // beyond the largest finite one; or below zero of either sign
    const float error = scale_error<kSmallBlock>(grid, block.data(), block.loaded(candidate));
    if (error < least) {
      least = error;
      bits = candidate;
    }
  }
  const float inverse = inverse_or_zero(block.loaded(bits));
  for (size_t i = 0; i < kSmallBlock; ++i) levels[i] = grid.index(block.values[i] * inverse);
  return bits;
}

struct OffsetBits {
  uint16_t scale = 0, offset = 0;
};
inline OffsetBits offset_block(const UniformGrid& grid, const float* in, std::array<int, kSmallBlock>& levels) {
  const Normalized<kSmallBlock> block(in);
  levels.fill(0);
  if (block.zero) return {};
  const OffsetFit fit = fit_offset<kSmallBlock>(grid, block.data(), true);
  const OffsetBits nearest = {block.stored(fit.scale), block.stored(fit.offset)};
  OffsetBits bits = nearest;
  float least = INFINITY;
  for (const int away : {0, -1, 1}) {
    const auto candidate = static_cast<uint16_t>(nearest.scale + away);
    if (candidate > 0x7bff) continue;
    const float error =
        offset_error<kSmallBlock>(grid, block.data(), block.loaded(candidate), block.loaded(nearest.offset));
    if (error < least) {
      least = error;
      bits.scale = candidate;
    }
  }
  const float offset = block.loaded(bits.offset), inverse = inverse_or_zero(block.loaded(bits.scale));
  for (size_t i = 0; i < kSmallBlock; ++i) levels[i] = grid.index((block.values[i] - offset) * inverse);
  return bits;
}

}  // namespace weft::quantize_detail

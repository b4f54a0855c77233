// Formats whose blocks of 32 have one scale and, in some, an offset.
#include <cstring>

#include "core/format/quantize.h"
#include "core/format/quantize_search.h"

namespace weft {
namespace {

using namespace quantize_detail;

constexpr int kBlock = 32;

void put_half(uint8_t* to, uint16_t bits) { std::memcpy(to, &bits, sizeof bits); }

// 16 bytes: low four bits are elements 0..15, high four 16..31; returns the fifth bits, element i at bit i.
uint32_t put_nibbles(const std::array<int, kBlock>& levels, uint8_t* to) {
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
uint16_t scaled_block(const Grid& grid, const float* in, std::array<int, kBlock>& levels) {
  const Normalized<kBlock> block(in);
  levels.fill(grid.index(0));
  if (block.zero) return 0;
  const ScaleFit fit = fit_scale<kBlock>(grid, block.data());
  const uint16_t nearest = block.stored(fit.scale);
  uint16_t bits = nearest;
  float least = INFINITY;
  for (const int away : {0, -1, 1}) {
    const auto candidate = static_cast<uint16_t>(nearest + away);
    if ((candidate & 0x7fff) > 0x7bff) continue;  // beyond the largest finite one; or below zero of either sign
    const float error = scale_error<kBlock>(grid, block.data(), block.loaded(candidate));
    if (error < least) {
      least = error;
      bits = candidate;
    }
  }
  const float inverse = inverse_or_zero(block.loaded(bits));
  for (size_t i = 0; i < kBlock; ++i) levels[i] = grid.index(block.values[i] * inverse);
  return bits;
}

struct OffsetBits {
  uint16_t scale = 0, offset = 0;
};
OffsetBits offset_block(const UniformGrid& grid, const float* in, std::array<int, kBlock>& levels) {
  const Normalized<kBlock> block(in);
  levels.fill(0);
  if (block.zero) return {};
  const OffsetFit fit = fit_offset<kBlock>(grid, block.data(), true);
  const OffsetBits nearest = {block.stored(fit.scale), block.stored(fit.offset)};
  OffsetBits bits = nearest;
  float least = INFINITY;
  for (const int away : {0, -1, 1}) {
    const auto candidate = static_cast<uint16_t>(nearest.scale + away);
    if (candidate > 0x7bff) continue;
    const float error = offset_error<kBlock>(grid, block.data(), block.loaded(candidate), block.loaded(nearest.offset));
    if (error < least) {
      least = error;
      bits.scale = candidate;
    }
  }
  const float offset = block.loaded(bits.offset), inverse = inverse_or_zero(block.loaded(bits.scale));
  for (size_t i = 0; i < kBlock; ++i) levels[i] = grid.index((block.values[i] - offset) * inverse);
  return bits;
}

}  // namespace

void quantize_q4_0(const float* in, size_t blocks, uint8_t* out) {
  std::array<int, kBlock> levels;
  for (; blocks-- > 0; in += kBlock, out += 18) {
    put_half(out, scaled_block(UniformGrid{-8, 7}, in, levels));
    put_nibbles(levels, out + 2);
  }
}

void quantize_iq4_nl(const float* in, size_t blocks, uint8_t* out) {
  std::array<int, kBlock> levels;
  for (; blocks-- > 0; in += kBlock, out += 18) {
    put_half(out, scaled_block(NonlinearGrid{}, in, levels));
    put_nibbles(levels, out + 2);
  }
}

void quantize_q5_0(const float* in, size_t blocks, uint8_t* out) {
  std::array<int, kBlock> levels;
  for (; blocks-- > 0; in += kBlock, out += 22) {
    put_half(out, scaled_block(UniformGrid{-16, 15}, in, levels));
    const uint32_t fifth = put_nibbles(levels, out + 6);
    std::memcpy(out + 2, &fifth, sizeof fifth);
  }
}

void quantize_q8_0(const float* in, size_t blocks, uint8_t* out) {
  // With 255 levels a search would gain too little for its time: the largest magnitude maps to 127.
  constexpr UniformGrid grid{-127, 127};
  for (; blocks-- > 0; in += kBlock, out += 34) {
    const Normalized<kBlock> block(in);
    float largest = 0;
    for (const float value : block.values) largest = std::max(largest, std::fabs(value));
    const uint16_t bits = block.stored(largest / 127.0f);
    const float inverse = inverse_or_zero(block.loaded(bits));
    put_half(out, bits);
    for (size_t i = 0; i < kBlock; ++i) {
      out[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(grid.nearest(block.values[i] * inverse)));
    }
  }
}

void quantize_q4_1(const float* in, size_t blocks, uint8_t* out) {
  std::array<int, kBlock> levels;
  for (; blocks-- > 0; in += kBlock, out += 20) {
    const OffsetBits bits = offset_block(UniformGrid{0, 15}, in, levels);
    put_half(out, bits.scale);
    put_half(out + 2, bits.offset);
    put_nibbles(levels, out + 4);
  }
}

void quantize_q5_1(const float* in, size_t blocks, uint8_t* out) {
  std::array<int, kBlock> levels;
  for (; blocks-- > 0; in += kBlock, out += 24) {
    const OffsetBits bits = offset_block(UniformGrid{0, 31}, in, levels);
    put_half(out, bits.scale);
    put_half(out + 2, bits.offset);
    const uint32_t fifth = put_nibbles(levels, out + 8);
    std::memcpy(out + 4, &fifth, sizeof fifth);
  }
}

}  // namespace weft

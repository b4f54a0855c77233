// The forms in which product kernels take activations. All of them are linear in rows: a tile of n rows takes n times
// the bytes of one.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/contract/kernels.h"
#include "ops/cpu/kernel_table.h"

namespace weft {

// int8: element i of a row is scale[i / 32] * value[i], |value| <= 127. Where a block of a row holds a NaN or an
// infinity, its scale is NaN and its values are 0. A tile of n rows is
//   value    int8 [k / 32][n][32]
//   scale    f32  [k / 32][n]
//   sum_32   f32  [k / 32][n]      scale * sum of the block's values: what minimums of 32 elements are multiplied by
//   sum_16   f32  [k / 16][n]      the same of half blocks
//   bias     i32  [k / 32][n]      -128 * sum of the block's values: for weights that are stored 128 higher
//   bias_16  i32  [k / 16][n]      the same of half blocks
inline constexpr int64_t kActivationBlock = 32;

struct Int8Tile {
  const int8_t* values;
  const float* scales;
  const float* sums_32;
  const float* sums_16;
  const int32_t* bias;
  const int32_t* bias_16;

  Int8Tile(const std::byte* tile, int64_t rows, int64_t k);
};

// digits: element i of a row is the sum of four int8 numbers, each with a power of two for its block, 128 times less
// than that of the one before. What is left is at most 2^-27 of the largest magnitude of the block: an eighth of what
// rounding that to f32 may change. A row with a magnitude that is no number, infinite, or so small that digits would be
// lost has none: its first scale is NaN. A tile of n rows is the n rows as they are, and a tile of 4 n int8 rows.
inline constexpr int64_t kDigits = 4;
inline constexpr int64_t kDigitRows = kRowTile / kDigits;  // of a tile: with digits, as many rows as one of int8

struct DigitTile {
  const float* floats;
  Int8Tile digits;

  DigitTile(const std::byte* tile, int64_t rows, int64_t k);
};

// f32: a tile is [k][n]. bf16: [k / 32, rounded up][n][32], rounded to the nearest, ties to even; zeros follow
// the last element.
size_t activation_row_bytes(ActivationElement element, int64_t k);  // int8, digits: k is a multiple of 32
// Brings a tile of `rows` rows of k floats into the form.
void prepare_activations(ActivationElement element, const float* const* from, int64_t rows, int64_t k, std::byte* tile);

}  // namespace weft

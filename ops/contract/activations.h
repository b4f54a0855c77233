// The forms in which product kernels take activations. All of them are linear in rows: a tile of n rows takes n times
// the bytes of one.
#pragma once

#include <cstddef>
#include <cstdint>

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

// f32: a tile is [k][n]. bf16: [k / 32, rounded up][n][32], rounded to the nearest, ties to even; zeros follow
// the last element.
size_t activation_row_bytes(ActivationElement element, int64_t k);  // int8: k is a multiple of 32
// Brings a tile of `rows` rows of k floats into the form.
void prepare_activations(ActivationElement element, const float* const* from, int64_t rows, int64_t k, std::byte* tile);

}  // namespace weft

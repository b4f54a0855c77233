// Dot products of right-hand rows, as stored, with one or two rows of quantized activations.
#pragma once

#include "ops/contract/activations.h"
#include "ops/contract/kernels.h"

namespace weft {

// Up to so many left-hand rows, quantizing them is faster than decoding the right-hand side exactly.
inline constexpr int kInt8Rows = 2;

// A tile of one row of activations.
struct QuantizedRow {
  const int8_t* values;
  const float* scales;
  const float* sums_32;  // of elements 32 * i ...
  const float* sums_16;  // of elements 16 * i ...
};
inline QuantizedRow quantized_row(const std::byte* tile, int64_t k) {
  const Int8Tile row(tile, 1, k);
  return {row.values, row.scales, row.sums_32, row.sums_16};
}

using Int8DotFunction = void(Format format, RowPointers rows, int64_t count, const QuantizedRow* lhs, int lhs_rows,
                             int64_t k, float* const* out);
void dot_int8_rows(const ProductArgs& args, Int8DotFunction* dot);

}  // namespace weft

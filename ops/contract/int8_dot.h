// Dot products of right-hand rows, as stored, with one or two rows of quantized activations.
#pragma once

#include "ops/contract/activations.h"
#include "ops/contract/kernels.h"

namespace weft {

// Up to so many left-hand rows, quantizing them is faster than decoding the right-hand side exactly.
inline constexpr int kInt8Rows = 2;

// `lhs`: a tile of one row for each left-hand row.
using Int8DotFunction = void(Format format, RowPointers rows, int64_t count, const Int8Tile* lhs, int lhs_rows,
                             int64_t k, float* const* out);
void dot_int8_rows(const ProductArgs& args, Int8DotFunction* dot);
// What the rows of such kernels have in common: all but name, preference, features and function.
ProductKernel int8_dot_row();

}  // namespace weft

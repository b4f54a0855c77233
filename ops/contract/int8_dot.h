// Left-hand rows quantized to int8, as the kernels of int8_dot.cc and int8_dot_vnni.cc read them.
#pragma once

#include "ops/contract/kernels.h"

namespace weft {

// Element i is scales[i / 32] * values[i], |values| <= 127. The sums of values (times their scale) are what the
// minimum of a right-hand block is multiplied by.
struct QuantizedRow {
  const int8_t* values;
  const float* scales;
  const float* sums_32;  // of elements 32 * i ...
  const float* sums_16;  // of elements 16 * i ...
};

// dot_int8_rows by AVX-512 with VNNI, where has_vnni().
bool has_vnni();
void dot_int8_vnni(Format format, RowPointers rows, int64_t count, const QuantizedRow* lhs, int lhs_rows, int64_t k,
                   float* const* out);

}  // namespace weft

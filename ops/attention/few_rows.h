// Vector kernels of attention for few query rows: for each key, all heads in turn, so that a cache that has its heads
// side by side is read from front to back. Head by head, each row of a head would be a jump; on Zen 4 such reads reach
// a tenth of what memory gives.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/format/format.h"
#include "ops/attention/ahead.h"
#include "ops/contract/kernels.h"

namespace weft {

struct SoftmaxState;

// Rows of `width` elements: that of key j and head h is at rows[j] + h * head_bytes. Whole units of 32 elements.
struct HeadRows {
  Format format;
  RowPointers rows;
  int64_t keys, heads;
  int64_t head_bytes;
  int64_t width;
};
// Whether these kernels can read such rows.
bool reads_head_rows(Format format, int64_t width);

// out[r][j] = sum_i lhs[r][i] * rows[j][h][i], where head h has the rows r from h * head_rows on.
void dot_heads(const HeadRows& right, const float* const* lhs, int64_t head_rows, float* const* out, Ahead& ahead);

// sums[r * stride + i] = sums[...] * state.factor[r] + sum_j weights[r * kBlockKeys + j] * values[j][h][i], with the
// heads' rows as above.
void add_weighted_heads(const HeadRows& values, const float* weights, int64_t head_rows, const SoftmaxState& state,
                        float* sums, int64_t stride, Ahead& ahead);

}  // namespace weft

// Both products of attention in bf16, summed in f32: scores of queries and keys, and weighted sums of values. For
// Precision::fast, on machines with matrix units for it.
//
// Queries, keys, values and weights are rounded to bf16. Scores are not scaled before they are computed: a factor
// changes no relative error, so it may as well come after, where the score program has it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/attention/ahead.h"
#include "ops/attention/kernels.h"
#include "ops/contract/kernels.h"

namespace weft {

// Rows of keys or values: `width` elements from rows[j] + offset on.
struct StoredRows {
  Format format;
  RowPointers rows;
  int64_t count;
  int64_t offset;  // bytes
  int64_t width;
};

// Positions that say which keys a row sees: those with key[j] <= row[r]. Null: all.
struct SeenPositions {
  const int32_t* row = nullptr;
  const int32_t* key = nullptr;
};

// What these kernels keep beside SoftmaxState: partial sums of each row's weights.
inline constexpr int64_t kPartialTotals = 16;

// Query rows whose scores are computed together, as are their sums; rows of a tile are padded to a multiple of it.
inline constexpr int64_t kBf16Rows = 32;
// At most so many rows of each head can be taken as few.
inline constexpr int64_t kBf16FewRows = 16;

// Blocks of up to kBlockKeys keys. Queries, keys and values are packed first: of many rows in groups of 16, or of few
// rows of several heads, head by head. Buffers are 64-byte aligned.
struct Bf16Products {
  const char* name;

  static size_t queries_bytes(int64_t rows, int64_t k);
  static size_t few_queries_bytes(int64_t k);  // of one head
  static size_t keys_bytes(int64_t k);
  static size_t values_bytes(int64_t width);
  static bool reads(Format format);

  // Before the products of a thread, with the rows of a head where these are few, else 0; and after them.
  void (*begin)(int64_t few_rows);
  void (*end)();

  // Rows of `k` elements; zeros up to a multiple of kBf16Rows of them.
  void (*pack_queries)(const float* const* left, int64_t rows, int64_t k, std::byte* packed);
  void (*pack_keys)(const StoredRows& keys, std::byte* packed);
  // scores[r * kBlockKeys + j] of the rows [first, last), where `first` is a multiple of kBf16Rows.
  void (*scores)(const std::byte* queries, const std::byte* keys, int64_t count, int64_t k, int64_t first, int64_t last,
                 float* scores);

  // The same for few rows of each of several heads, whose keys lie `head_step` bytes from each other: `of_first` are
  // those of the first. `scratch`: of keys_bytes(k). Writes up to 15 rows of scores behind those of the last head.
  void (*pack_few_queries)(const float* const* left, int64_t heads, int64_t head_rows, int64_t k, std::byte* packed);
  void (*few_scores)(const std::byte* queries, const StoredRows& of_first, int64_t heads, int64_t head_step,
                     int64_t head_rows, std::byte* scratch, float* scores, Ahead& ahead);

  // Of the rows [first, last), whose scores are `scale` times these: bf16 weights exp(score - largest), of which
  // totals[r * kPartialTotals ...] are summed as rounded, so that the rounding of weights that are alike cancels.
  // Keys of score -inf have weight 0. weights[r * kBlockKeys + j]; 0 for keys that are not there, and
  // for rows up to a multiple of 16 behind `last`.
  void (*soften)(float* scores, int64_t first, int64_t last, int64_t keys, float scale, const SeenPositions& positions,
                 SoftmaxState& state, float* totals, uint16_t* weights, Ahead& ahead);
  void (*finish_totals)(const float* totals, int64_t rows, SoftmaxState& state);

  void (*pack_values)(const StoredRows& values, std::byte* packed, Ahead& ahead);
  // sums[r * stride + i] = sums[...] * state.factor[r] + sum_j weights[r * kBlockKeys + j] * values[j][i] of the rows
  // [first, last); `few`: of one head, as begin() was told, else with rows padded to a multiple of 16, whose weights
  // must be 0.
  void (*add_values)(const std::byte* values, int64_t count, int64_t width, const uint16_t* weights, int64_t first,
                     int64_t last, bool few, const SoftmaxState& state, float* sums, int64_t stride, Ahead& ahead);
};

// Null where this machine has no unit for it.
const Bf16Products* bf16_products();

}  // namespace weft

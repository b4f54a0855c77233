// Vector kernels of attention's online softmax (Milakov and Gimelshein 2018, arXiv:1805.02867): scores of a block
// of keys become weights, and a running maximum, sum and weighted sum of values are kept per query row.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft {

inline constexpr int64_t kBlockKeys = 64;  // keys of a block
// Query rows of a tile at most: in f32, where what a block's keys and values are decoded to stays in the first cache
// beside them, and in all.
inline constexpr int64_t kF32TileRows = 96;
inline constexpr int64_t kTileRows = 192;
inline constexpr int64_t kWidthGrain = 16;  // rows of `sums` are padded to a multiple of it

// State of the rows of a tile.
struct SoftmaxState {
  float largest[kTileRows];  // score so far; -inf: none
  float total[kTileRows];    // of the weights exp(score - largest)
  // By which the last block scales what was summed before it; with room for whole vectors.
  float factor[kTileRows + kWidthGrain];
};
void reset(SoftmaxState& state, int64_t rows);

// What is known of a row that has met all of its keys.
struct RowSoftmax {
  float largest;  // score; -inf: none
  float total;    // of the weights exp(score - largest); 0: the row sees no key
  float logs;     // of statistics: the sum of weight * log(weight)
};
// The same with one more score, of no key. The row has seen a key before.
RowSoftmax with_sink(const RowSoftmax& row, float sink);

// Of the rows [first, last) of a tile, scores[r * kBlockKeys + j], j < keys, become exp(score - largest); the rest of
// each row becomes 0. Keys of score -inf have weight 0. `scores` is 64-byte aligned.
void softmax_block(float* scores, int64_t first, int64_t last, int64_t keys, SoftmaxState& state);

// The same for scores[r][j] = scale * dots[r][j] where key_position[j] <= row_position[r], else -inf. Without
// positions (null), no key is masked.
void softmax_causal_block(float* scores, int64_t first, int64_t last, int64_t keys, float scale,
                          const int32_t* row_position, const int32_t* key_position, SoftmaxState& state);

// What the entropy of a row is made of: logs[r] becomes the sum over all keys so far of weight * log(weight). `weights`
// and `state` are those that softmax_block left, total_before[r] is what state.total[r] was before it.
void add_weighted_logs(const float* weights, int64_t first, int64_t last, int64_t keys, const float* total_before,
                       const SoftmaxState& state, float* logs);

// sums[r * stride + i] = sums[...] * state.factor[r] + sum_j weights[r * kBlockKeys + j] * values[j][i], i <
// width, first <= r < last.
void add_weighted(const float* const* values, int64_t keys, int64_t width, const float* weights, int64_t first,
                  int64_t last, const SoftmaxState& state, float* sums, int64_t stride);
// The same, where a key of weight 0 takes no part, whatever its value holds. Slow.
void add_weighted_carefully(const float* const* values, int64_t keys, int64_t width, const float* weights,
                            int64_t first, int64_t last, const SoftmaxState& state, float* sums, int64_t stride);

bool all_finite(const float* values, int64_t count);
// out[i] = sums[i] * factor
void scale_row(const float* sums, int64_t count, float factor, float* out);

}  // namespace weft

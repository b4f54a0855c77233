// Parts of the attention kernel's running: a thread's state, and tiles of query rows.
#pragma once

#include <algorithm>

#include "ops/attention/attention_kernel.h"

namespace weft {

inline constexpr int64_t kTransposeRows = 8;  // from so many query rows on, keys are transposed for the blocked product
inline constexpr int64_t kFewRows = 16;       // up to so many rows of a batch, a tile may have those of several

// What one thread has in its scratch.
struct AttentionKernel::Thread {
  static constexpr int64_t kApart = -1;

  std::byte* base;
  std::array<LhsRun, kMaxScores> lhs;
  std::array<const float*, kMaxScores> matrix;  // null: lhs in place
  std::array<KeyRowsRun, kMaxScores> keys;
  std::array<KeyRowsRun, kMaxCached> cached;
  KeyRowsRun value;
  SourceRun* body;
  SourceRun* open_body;  // null: not where all is seen either
  bool rows_at_once;     // what the body evaluates
  std::array<SourceRun*, kMaxMaskSources> mask;
  AxisSpace batch_space, rest_space;
  const PageTable* pages;
  int64_t* coordinates;  // [row][kMaxLoops]
  SoftmaxState* state;
  float* sums;
  const std::byte** addresses;
  const float** value_rows;
  float** out_rows;
  int64_t* index;  // of a block's keys: slots, or coordinates
  std::array<IntRange, kMaxMaskSources> range;
  std::array<int64_t, kMaxLoops> out_stride;  // by query axis, elements
  std::array<int64_t, kMaxLoops> value_stride;
  AxisSpace value_space;
  bool out_contiguous;
  // Of a tile of few rows: bytes from a batch's keys and values to the next one's; kApart: batches are read one by one.
  std::array<int64_t, kMaxScores> key_step;
  int64_t value_step;

  const int64_t* row(int64_t r) const { return coordinates + r * kMaxLoops; }
};

// Query rows that read the same keys; where these are few, those of several batches, such as heads, whose keys lie
// side by side.
struct AttentionKernel::Tile {
  int64_t batch, batch_count;  // flat coordinates on the axes that keys depend on
  int64_t pos, pos_count;      // with pages: positions of one sequence
  int64_t rest, rest_count;    // flat coordinates on the other axes
  int64_t sequence;            // -1: without pages
  int64_t first, keys;         // keys [first, keys) are there
  bool few;                    // rows of a batch, and batches together
  int64_t batch_rows() const { return pos_count * rest_count; }
  int64_t rows() const { return batch_count * batch_rows(); }
  // Whether keys are transposed for the blocked product.
  bool transposes() const { return !few && rows() >= kTransposeRows; }
};

// The tiles of a run, counted the same way by all threads.
class AttentionKernel::Tiles {
 public:
  Tiles(const AttentionKernel& kernel, const StepArgs& args) : kernel_(kernel), args_(args) {
    batches_ = element_count(kernel.batch_axes_, args.extents);
    rest_ = element_count(kernel.rest_axes_, args.extents);
    positions_ = 1;
    if (kernel.pos_ >= 0) {
      positions_ = args.extents[kernel.query_[static_cast<size_t>(kernel.pos_)]];
      pages_ = &args.pages[kernel.cache_];
      seq_ = static_cast<const int32_t*>(args.data[kernel.seq_]);
      tile_positions_ = kernel.pos_alone_ ? 1 : std::max<int64_t>(kTileRows / std::max<int64_t>(rest_, 1), 1);
    }
    for_each([this](int64_t, const Tile& tile) {
      ++count_;
      longest_ = std::max(longest_, tile.keys - tile.first);
    });
  }
  int64_t count() const { return count_; }
  int64_t longest() const { return longest_; }

  // visit(index, tile), in order.
  template <class Visit>
  void for_each(const Visit& visit) const {
    int64_t index = 0;
    for (int64_t batch = 0; batch < batches_; ++batch) {
      for (int64_t pos = 0; pos < positions_;) {
        Tile tile{batch, 1, pos, 1, 0, 0, -1, 0, 0, false};
        if (pages_ != nullptr) {
          tile.sequence = seq_[pos];
          while (tile.pos_count < tile_positions_ && pos + tile.pos_count < positions_ &&
                 seq_[pos + tile.pos_count] == tile.sequence) {
            ++tile.pos_count;
          }
          const bool known = tile.sequence >= 0 && tile.sequence < pages_->sequences;
          tile.first = known ? pages_->first_of(tile.sequence) : 0;
          tile.keys = known ? pages_->length[tile.sequence] : 0;
        } else {
          tile.keys = args_.extents[kernel_.key_];
        }
        const int64_t batch_rows = tile.pos_count * rest_;
        if (kernel_.batches_together_ && batch_rows > 0 && batch_rows <= kFewRows) {
          const int64_t together = kTileRows / batch_rows;
          if (batch % together == 0) {
            tile.few = true;
            tile.rest_count = rest_;
            tile.batch_count = std::min(together, batches_ - batch);
            visit(index++, tile);
          }
          pos += tile.pos_count;
          continue;
        }
        for (tile.rest = 0; tile.rest < rest_; tile.rest += kTileRows) {
          tile.rest_count = std::min(kTileRows, rest_ - tile.rest);
          visit(index++, tile);
        }
        pos += tile.pos_count;
      }
    }
  }

 private:
  const AttentionKernel& kernel_;
  const StepArgs& args_;
  const PageTable* pages_ = nullptr;
  const int32_t* seq_ = nullptr;
  int64_t batches_ = 1, positions_ = 1, rest_ = 1, tile_positions_ = 1, count_ = 0, longest_ = 0;
};

}  // namespace weft

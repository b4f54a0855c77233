// Parts of the attention kernel's running: a thread's state, and tiles of query rows.
#pragma once

#include <algorithm>

#include "ops/attention/attention_kernel.h"

namespace weft {

inline constexpr int64_t kTransposeRows = 8;  // from so many query rows on, keys are transposed for the blocked product
inline constexpr int64_t kFewRows = 16;       // up to so many rows of a batch, a tile may have those of several
inline constexpr int64_t kBf16FirstRows = 3;  // of a batch, from which on bf16 products are faster
static_assert(kFewRows == kBf16FewRows);

// What one thread has in its scratch.
struct AttentionKernel::Thread {
  static constexpr int64_t kApart = -1;

  std::byte* base;
  std::array<LhsRun, kMaxScores> lhs;
  std::array<const float*, kMaxScores> matrix;  // null: lhs in place
  std::array<KeyRowsRun, kMaxScores> keys;
  std::array<KeyRowsRun, kMaxCached> cached;
  KeyRowsRun value;
  bool in_bf16;      // the tile's products
  bool all_see_all;  // what is known of the block: the mask lets all rows see all of it
  SourceRun* body;
  SourceRun* open_body;  // null: not where all is seen either
  SourceRun* sink;       // null: none
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
  const std::byte** next_addresses;  // of the block after this one, by operand
  Ahead ahead;
  int64_t* index;  // of a block's keys: slots, or coordinates
  int64_t* next_index;
  Ranges range;
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

// The tiles of a run, counted the same way by all threads. They are found one after the other, so that asking for those
// that follow is cheap.
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
      tile_positions_ = kernel.pos_alone_ ? 1 : std::max<int64_t>(kernel.tile_rows_ / std::max<int64_t>(rest_, 1), 1);
    }
    for (start(); find(); next()) {
      ++count_;
      longest_ = std::max(longest_, tile_.keys - tile_.first);
    }
    start();
  }
  int64_t count() const { return count_; }
  int64_t longest() const { return longest_; }

  // That of `index` < count().
  const Tile& at(int64_t index) {
    if (index < index_) start();
    find();
    while (index_ < index) {
      next();
      find();
    }
    return tile_;
  }

 private:
  void start() {
    index_ = batch_ = pos_ = rest_at_ = 0;
    found_ = false;
  }
  // The tile at this place, or at the next one that has any; false: there is none.
  bool find() {
    while (!found_ && batch_ < batches_) {
      if (pos_ >= positions_) {
        ++batch_;
        pos_ = 0;
        continue;
      }
      if (rest_at_ == 0) take_positions();
      const int64_t batch_rows = tile_.pos_count * rest_;
      tile_.few = kernel_.batches_together_ && batch_rows > 0 && batch_rows <= kFewRows;
      if (tile_.few) {
        const int64_t together = kF32TileRows / batch_rows;
        tile_.rest = 0;
        tile_.rest_count = rest_;
        tile_.batch_count = std::min(together, batches_ - batch_);
        found_ = batch_ % together == 0;
      } else {
        tile_.rest = rest_at_;
        tile_.rest_count = std::min(kernel_.tile_rows_, rest_ - rest_at_);
        found_ = tile_.rest_count > 0;
      }
      if (!found_) pass();
    }
    return found_;
  }
  void next() {
    ++index_;
    pass();
  }
  void pass() {
    found_ = false;
    rest_at_ += tile_.rest_count;
    if (!tile_.few && rest_at_ < rest_) return;
    rest_at_ = 0;
    pos_ += tile_.pos_count;
  }
  void take_positions() {
    tile_ = {batch_, 1, pos_, 1, 0, 0, -1, 0, 0, false};
    if (pages_ == nullptr) {
      tile_.keys = args_.extents[kernel_.key_];
      return;
    }
    tile_.sequence = seq_[pos_];
    while (tile_.pos_count < tile_positions_ && pos_ + tile_.pos_count < positions_ &&
           seq_[pos_ + tile_.pos_count] == tile_.sequence) {
      ++tile_.pos_count;
    }
    const bool known = tile_.sequence >= 0 && tile_.sequence < pages_->sequences;
    tile_.first = known ? pages_->first_of(tile_.sequence) : 0;
    tile_.keys = known ? pages_->length[tile_.sequence] : 0;
  }

  const AttentionKernel& kernel_;
  const StepArgs& args_;
  const PageTable* pages_ = nullptr;
  const int32_t* seq_ = nullptr;
  int64_t batches_ = 1, positions_ = 1, rest_ = 1, tile_positions_ = 1, count_ = 0, longest_ = 0;
  // Where find() looks, and what it found.
  int64_t index_ = 0, batch_ = 0, pos_ = 0, rest_at_ = 0;
  bool found_ = false;
  Tile tile_{};
};

}  // namespace weft

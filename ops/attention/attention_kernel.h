// The fused attention kernel: any score program over contractions of queries with keys, softmax along the keys,
// and the weighted sum of values, in one pass over the keys. No score outlives its block.
//
// Query rows that read the same keys form tiles: those of one sequence's positions (where the keys lie in the
// pages of a cache) and of all query heads that share a head of keys and values. Where there are fewer tiles than
// threads, the keys of each are split between threads, and the parts are merged.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ops/attention/bf16_products.h"
#include "ops/attention/kernels.h"
#include "ops/attention/key_rows.h"
#include "ops/attention/mask_analysis.h"
#include "ops/contract/lhs_rows.h"
#include "ops/cpu/epilogue.h"
#include "ops/cpu/kernel.h"
#include "ops/cpu/source_eval.h"

namespace weft {

class AttentionKernel final : public CpuKernel {
 public:
  static constexpr size_t kMaxScores = 4;  // contractions of a score
  static_assert(kMaxScores < Ahead::kMostOperands);
  static constexpr size_t kMaxCached = 8;       // cached values that a score reads beside them
  static constexpr size_t kMaxMaskSources = 8;  // beyond that, no block is skipped

  // `bf16`: what computes the products of tiles with rows enough; null: all in f32.
  AttentionKernel(const KernelContext& context, const Bf16Products* bf16);

  std::vector<KernelRange> kernels() const override;
  size_t scratch_bytes() const override { return scratch_bytes_; }
  void run(const StepArgs& args, const Team& team) const override;

 private:
  struct Thread;
  struct Tile;
  class Tiles;

  struct Score {  // one contraction
    int contraction;
    LhsRows lhs;
    std::vector<size_t> row_query;  // positions in query_ of the rows' axes
    KeyRows keys;
    int64_t max_rows;  // of lhs
    size_t matrix_at;  // computed rows, in shared scratch
    size_t workspace_at, scores_at, packed_at, left_at;
    size_t bf16_queries_at, bf16_keys_at;
  };
  struct Cached {  // a load that goes through the pages
    int operand;
    KeyRows rows;
    bool by_key;  // the same for all queries
    size_t values_at;
  };
  struct IntSource {  // what a mask is made of
    enum class Kind { key_index, query_index, cached, by_key, by_query, unknown } kind = Kind::unknown;
    size_t query = 0;   // query_index
    size_t cached = 0;  // position in cached_
    SourceEvaluator load;
    size_t workspace_at = 0, values_at = 0;
  };
  using Ranges = std::array<IntRange, kMaxMaskSources>;
  struct Causal {  // score = scale * contraction 0 where key <= query, else -inf
    float scale = 1;
    bool masked = false;
    size_t key = 0, query = 0;  // positions in mask_sources_
  };

  void find_sources(const KernelContext& context);
  std::optional<Causal> find_causal() const;
  void lay_out();
  Thread bind(const StepArgs& args, const Team& team) const;
  void place(const Tile& tile, Thread& thread) const;
  void enter(const Tile& tile, Thread& thread) const;
  void enter_in_f32(const Tile& tile, Thread& thread) const;
  bool enter_in_bf16(const Tile& tile, Thread& thread) const;
  void process(const Tile& tile, int64_t first, int64_t last, bool careful, Thread& thread) const;
  bool process_in_bf16(const Tile& tile, int64_t first, int64_t last, Thread& thread) const;
  void soften_in_bf16(int64_t begin, int64_t end, int64_t first, int64_t count, Thread& thread) const;
  void block_in_bf16(const Tile& tile, int64_t first, int64_t count, Thread& thread) const;
  void find_next(const Tile& tile, int64_t first, int64_t count, Thread& thread) const;
  void few_block_in_bf16(const Tile& tile, int64_t first, int64_t count, Thread& thread) const;
  void find_slots(const Tile& tile, int64_t first, int64_t count, int64_t* index, const Thread& thread) const;
  bool masked(const Tile& tile, int64_t first, int64_t count, Thread& thread) const;
  int64_t first_row(const Tile& tile, int64_t grain, const Thread& thread) const;
  void score_block(const Tile& tile, int64_t begin, int64_t first, int64_t count, Thread& thread) const;
  Ranges ranges_of_rows(int64_t begin, int64_t end, const Thread& thread) const;
  bool sees_all(int64_t begin, int64_t end, const Thread& thread) const;
  SeenPositions causal_positions(int64_t begin, int64_t end, const Thread& thread) const;
  void run_body(int64_t begin, int64_t end, int64_t first, int64_t count, Thread& thread) const;
  void multiply(const Tile& tile, size_t score, int64_t begin, int64_t count, Thread& thread) const;
  void score_block_with_logs(const Tile& tile, int64_t begin, int64_t first, int64_t count, Thread& thread) const;
  void add_values(const Tile& tile, int64_t begin, int64_t count, bool careful, Thread& thread) const;
  int64_t batch_step(const Tile& tile, const KeyRows& rows, const KeyRowsRun& run, bool in_bf16,
                     const Thread& thread) const;
  void finish_row(const int64_t* coordinates, const float* sums, RowSoftmax row, const Thread& thread,
                  const StepArgs& args, float* out) const;
  void store_row(const int64_t* coordinates, const float* sums, float factor, const Thread& thread, float* out) const;
  void store_statistics(const int64_t* coordinates, const RowSoftmax& row, const StepArgs& args) const;
  void merge(Tiles& tiles, const StepArgs& args, const Team& team, int64_t parts, Thread& thread, float* out) const;

  // Bytes from a head's packed queries to those of the next one.
  static int64_t few_step(int64_t k) { return static_cast<int64_t>(Bf16Products::few_queries_bytes(k)); }
  std::string describe() const;
  bool statistics() const { return region_->attention->statistics; }
  template <class T>
  static T* at(std::byte* base, size_t offset) {
    return reinterpret_cast<T*>(base + offset);
  }

  std::string name_, bf16_name_;
  const Bf16Products* bf16_;
  const Region* region_;
  std::vector<ValueId> outputs_;  // {result}, or {result, log-sum-exp, largest, entropy}
  AxisId key_;
  int cache_ = -1;
  ValueId seq_ = kNoValue;
  std::vector<AxisId> query_;         // axes of the score but for the key
  int pos_ = -1;                      // position in query_ of the cache's pos axis
  bool pos_alone_ = false;            // keys differ by pos itself: one position a tile
  bool batches_together_ = false;     // each key's rows of all batches lie together
  std::vector<size_t> batch_, rest_;  // positions in query_: axes that keys depend on; others, without pos_
  std::vector<AxisId> batch_axes_, rest_axes_;
  std::vector<Score> scores_;  // none: the score is made of coordinates and stored values alone
  std::vector<Cached> cached_;
  std::vector<KeyRows> value_;      // one
  std::vector<AxisId> value_axes_;  // the value's own
  SourceEvaluator body_;
  SourceEvaluator sink_;       // empty: none
  SourceEvaluator open_body_;  // of blocks that the mask lets see everything; empty: the mask is not of that form
  MaskAnalysis mask_;
  std::vector<IntSource> mask_sources_;
  std::optional<Causal> causal_;
  Epilogue epilogue_;
  int threads_ = 1;
  int64_t rest_rows_ = 1;  // of a batch and position
  int64_t tile_rows_ = kF32TileRows;
  int64_t stride_ = 0;    // of sums, floats
  size_t scores_at_ = 0,  // what the body makes of a block's scores, and then their weights
      body_at_ = 0, kept_at_ = 0, open_body_at_ = 0, open_kept_at_ = 0, state_at_ = 0, sums_at_ = 0, panel_at_ = 0,
         values_at_ = 0, keys_at_ = 0, coordinates_at_ = 0;
  size_t logs_at_ = 0, totals_before_at_ = 0;  // of statistics
  size_t sink_at_ = 0;
  size_t pointers_at_ = 0, index_at_ = 0, totals_at_ = 0, weights_at_ = 0, bf16_values_at_ = 0, thread_bytes_ = 0;
  size_t finish_at_ = 0, parts_at_ = 0, part_floats_ = 0, threads_at_ = 0, scratch_bytes_ = 0;
};

}  // namespace weft

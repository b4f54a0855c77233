// Evaluates a ScalarProgram of a step over a box of loop coordinates: finds the elements that each operand
// contributes, decodes what is not f32 or i32, and feeds the tile machine.
//
// The loops are split in two: `outer` coordinates, which the caller sets row by row, or once per box of rows, and
// `inner` ones, the last axes, which are walked as one flattened range. So a map has only inner axes; the epilogue of a
// contraction has the rows as outer axes and the columns as inner ones; a score has the query's axes as outer ones, and
// `key` as inner.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/record/graph.h"
#include "core/record/view.h"
#include "ops/cpu/tile_machine.h"
#include "ops/step.h"

namespace weft {

inline constexpr int kMaxLoops = kMaxRank + 1;
inline constexpr size_t kMaxProvided = 16;  // sources of one program that the caller hands over

// A source instruction whose values the caller hands over on each call: contraction and reduction results, rotated
// values, or loads of operands that only the caller can address (cached positions).
struct ProvidedSource {
  ScalarOp op = ScalarOp::contraction;
  int32_t imm = 0;
  // false: consecutive elements, the first belongs to the first element of the range that is evaluated.
  // true: one value for the whole range.
  bool uniform = false;
  // evaluate_rows() only: the same elements for all rows.
  bool same_in_rows = false;
};

class SourceEvaluator;

// One thread's evaluation within one run of a step. Lives in memory of SourceEvaluator::workspace_bytes(); needs
// no destruction.
class SourceRun {
 public:
  // Coordinates on the outer loops, in their order. Needed before the first evaluation if there are outer loops.
  void set_row(const int64_t* coordinates);

  // Elements [first, first + count) of the flattened inner loops, to out[0 .. count): f32, i32 or bytes (bool8).
  // `provided[i]` belongs to the i-th ProvidedSource: f32 or i32 elements, or bytes for bool8. `out` may be one of
  // the provided arrays.
  void evaluate(int64_t first, int64_t count, const void* const* provided, void* out);

  // The same of `rows` rows, which follow each other in the order of the outer loops: the row at `coordinates` on these
  // is the first. From row to row provided[i] goes on by provided_step[i] bytes, and `out` by out_step. Costs little
  // more per row than what it computes.
  void evaluate_box(const int64_t* coordinates, int64_t rows, int64_t first, int64_t count, const void* const* provided,
                    const int64_t* provided_step, void* out, int64_t out_step);

  // Several rows of one inner axis at once, where rows differ in nothing but what is uniform in each, and in provided
  // elements: after can_run_rows() said so, which is asked once after bind().
  //   keep_row(): notes what is uniform in the row of set_row(): SourceEvaluator::row_bytes() bytes.
  //   evaluate_rows(): elements [first, first + count), count <= kTileChunk, of rows that were kept one after the
  //   other, to out, at intervals of kTileChunk elements, as are provided elements that are not the same in all rows.
  //   All of these are readable, and written, up to kTileChunk.
  bool can_run_rows();
  void keep_row(std::byte* kept);
  void evaluate_rows(const std::byte* kept, int64_t rows, int64_t first, int64_t count, const void* const* provided,
                     void* out);

  // The same elements, fed to a reduction instead.
  void reduce(int64_t first, int64_t count, const void* const* provided, TileReduction& reduction);

  // Elements of the inner loops (1 without inner loops). Not to be asked where the one inner axis has no extent.
  int64_t inner_count() const { return inner_count_; }

 private:
  friend class SourceEvaluator;
  struct Load;
  struct Index;
  struct Box;
  using Coordinates = std::array<int64_t, kMaxLoops>;

  void collapse(const int64_t* extents);
  void classify();
  void walk(int64_t first, int64_t count, const void* const* provided, std::byte* out, TileReduction* reduction,
            const Box* box = nullptr);
  static int64_t stride_of(const Load& load, size_t loop, bool is_inner);
  bool varies_over(const Load& load, size_t loop, bool is_inner) const;
  bool can_step(size_t loop, bool is_inner) const;
  void set_moves(const Coordinates& at, const void* const* provided, const Box& box);
  void set_uniforms(const Coordinates& at, const void* const* provided);
  bool locate(const Load& load, const int64_t* at, int64_t& offset) const;
  void stage(const Load& load, Coordinates at, int64_t count) const;
  template <class T>
  void stage_runs(const Load& load, Coordinates at, int64_t offset, int64_t count) const;
  void stage_piece(const Load& load, const Coordinates& at, int64_t count, std::byte* out) const;
  void stage_offsets(const Load& load, Coordinates at, int64_t count) const;
  void stage_index(const Index& index, Coordinates at, int64_t count) const;
  void advance(Coordinates& at, int64_t count) const;

  const SourceEvaluator* evaluator_ = nullptr;
  TileFrame* frame_ = nullptr;
  const int64_t* extents_ = nullptr;  // of the run, by axis
  Load* loads_ = nullptr;
  Index* indices_ = nullptr;
  Coordinates outer_extent_{};
  int inner_rank_ = 0;          // inner loops, adjacent ones collapsed where every operand allows it
  Coordinates inner_extent_{};  // from slow to fast
  int64_t run_ = 1;             // extent of the innermost one
  int64_t inner_count_ = 1;
  int64_t limit_ = 0;          // elements per call of the machine
  bool across_ = false;        // runs are so short that a tile spans several
  bool steps_inside_ = false;  // runs form boxes along the loop around the innermost
  bool stale_ = true;          // uniform values have changed since they were handed to the machine
};

class SourceEvaluator {
 public:
  SourceEvaluator() = default;
  // `program` over `loops` (at most kMaxLoops), of which the last `inner` are the inner ones. All loads read
  // `region.operands`. Reductions, contractions and rotated values must be provided.
  SourceEvaluator(const GraphRecord& graph, const Region& region, const ScalarProgram& program,
                  std::span<const AxisId> loops, int inner, std::span<const ProvidedSource> provided = {});

  const TileProgram& program() const { return program_; }
  Element type() const { return program_.type(); }
  size_t workspace_bytes() const { return workspace_bytes_; }
  size_t row_bytes() const { return program_.uniform_bytes(); }

  // Resolves the operands for a run's extents. `workspace`: workspace_bytes() bytes, 64-byte aligned, this
  // thread's own. With one inner axis, its extent need not be known.
  SourceRun* bind(const StepArgs& args, std::byte* workspace) const;

 private:
  friend class SourceRun;
  struct LoadInfo {  // an operand that the program loads, or that holds ids of one
    Operand operand;
    Format format = Format::f32;
    std::array<int, ResolvedView::kMaxGathers> ids{-1, -1};  // positions in loads_, by gather
    // Of a lookup: its source gets the elements' offsets, not the elements.
    bool is_table = false;
    int source = -1;  // position in the program's sources; -1: ids only
    size_t staging_at = 0;
  };
  struct IndexInfo {
    int source = -1;
    int loop = 0;
    size_t staging_at = 0;
  };
  struct ExtentInfo {
    int source = -1;
    AxisId axis = kNoAxis;
  };
  struct ProvidedInfo {
    int source = -1;  // -1: the program does not read it
    bool uniform = false;
    bool same_in_rows = false;
    int element_bytes = 4;
  };
  int add_load(const GraphRecord& graph, const Region& region, int operand, int source);

  TileProgram program_;
  std::vector<AxisId> loops_;
  size_t inner_ = 0;
  std::vector<LoadInfo> loads_;
  std::vector<IndexInfo> indices_;
  std::vector<ExtentInfo> extents_;
  std::vector<ProvidedInfo> provided_;
  bool uniform_provided_ = false;
  size_t loads_at_ = 0, indices_at_ = 0, frame_at_ = 0;
  size_t workspace_bytes_ = 0;
};

}  // namespace weft

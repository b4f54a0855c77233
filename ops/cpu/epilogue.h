// The epilogue of a region, which follows its body: the rotation, the `post` program, and the selection. Shared by the
// reduce and contract kernels, and by append, which wraps them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ops/cpu/kernel.h"
#include "ops/cpu/source_eval.h"

namespace weft {

class Epilogue;

// One thread's finishing of rows, within one run of a step (see Epilogue::by_rows()).
class EpilogueRun {
 public:
  // Rows [first, last), and so many in each of the next of `count` ranges, which begin `step` rows apart.
  void finish(int64_t first, int64_t last, int64_t count = 1, int64_t step = 0);

 private:
  friend class Epilogue;
  void set_table(int64_t at);
  void look_up(int64_t first, int64_t count);
  void rotate_rows(int64_t first, int64_t last, int64_t end);
  void rotate_lines_apart(int64_t first, int64_t last);

  const Epilogue* owner_ = nullptr;
  int64_t extent_ = 1, inner_ = 1;  // of a row: the rotated axis, and what follows it
  float* body_ = nullptr;
  std::byte* out_ = nullptr;
  const float* frequencies_ = nullptr;
  size_t pairs_ = 0;
  float* cosines_ = nullptr;  // of table_position_
  float* sines_ = nullptr;
  bool have_table_ = false;
  // By section of the rotation, the one of its first pairs before the others:
  std::array<int32_t, kMaxRotationSections + 1> table_position_{};
  std::array<SourceRun*, kMaxRotationSections + 1> lookup_{};
  SourceRun* post_ = nullptr;
  int32_t* positions_ = nullptr;  // those from first_position_ to last_position_; kPositions for each section
  int64_t first_position_ = 0, last_position_ = 0;
  int64_t rows_per_position_ = 1;
};

class Epilogue {
 public:
  Epilogue() = default;
  // For the region whose results go to `outputs` (as in Step::outputs).
  Epilogue(const KernelContext& context, const Region& region, std::span<const ValueId> outputs);

  // False where the body is the result: the kernel then writes the output itself and does not call the epilogue.
  bool needed() const { return rotation_.has_value() || selection_.has_value(); }

  // Where the kernel is to store the body (f32, contiguous over region.axes): the output itself where it can be
  // worked on in place, else the first bytes of `scratch` (scratch_bytes() bytes for the whole team, 64-byte
  // aligned).
  float* body(const StepArgs& args, std::byte* scratch) const;
  size_t scratch_bytes() const { return scratch_bytes_; }

  // All phases over the whole result. Every thread of the team calls it when the body is complete, which takes a
  // barrier. Puts barriers between its phases, none at its end.
  void run(const StepArgs& args, const Team& team, std::byte* scratch) const;

  // Where there is no selection, a thread that holds all of a row can finish it at once, without a barrier. A row
  // is what varies with region.axes from row_axis() on: from the rotated axis. Rows are counted in memory order.
  bool by_rows() const { return rotation_.has_value() && !selection_.has_value(); }
  size_t row_axis() const { return row_axis_; }
  void finish_rows(const StepArgs& args, const Team& team, std::byte* scratch, int64_t first, int64_t last) const;
  // For a thread that finishes rows piece by piece.
  EpilogueRun bind(const StepArgs& args, const Team& team, std::byte* scratch) const;

 private:
  friend class EpilogueRun;
  struct Shape {  // of the result at an axis: [outer][extent][inner]
    int64_t outer = 1, extent = 1, inner = 1;
  };
  Shape shape_at(AxisId axis, const int64_t* extents) const;
  void select(const StepArgs& args, const Team& team, std::byte* scratch, const float* values) const;
  void select_split(const Shape& shape, int64_t k, const Team& team, std::byte* scratch, const float* values,
                    float* out_values, int32_t* out_ids) const;

  std::vector<AxisId> axes_;
  std::vector<ValueId> outputs_;
  std::optional<Rotation> rotation_;
  std::optional<Selection> selection_;
  SourceEvaluator post_;
  std::vector<SourceEvaluator>
      positions_;  // i32, by section: over the first position_axes_, or, where it varies inside rows, over all but one
  size_t position_axes_ = 0;             // first axes, with which it may vary
  bool position_varies_inside_ = false;  // with an axis after the rotated one
  std::vector<float> frequencies_;
  int64_t frequencies_extent_ = 0;  // of the rotated axis, for which frequencies_ are; 0: any
  bool body_in_output_ = false;
  size_t row_axis_ = 0;
  int64_t max_choices_ = 1;
  // Scratch: the body, then a part per thread, then the candidates of each thread.
  size_t table_at_ = 0, positions_at_ = 0, post_at_ = 0, order_at_ = 0;  // in a thread's part
  std::array<size_t, kMaxRotationSections + 1> position_run_at_{};
  size_t threads_at_ = 0, thread_bytes_ = 0, candidates_at_ = 0, scratch_bytes_ = 0;
};

}  // namespace weft

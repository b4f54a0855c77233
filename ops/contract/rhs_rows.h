// The right-hand sides of contractions as rows of one output each, their contracted elements contiguous.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "ops/contract/coordinates.h"
#include "ops/contract/kernels.h"
#include "ops/cpu/kernel.h"
#include "ops/cpu/source_eval.h"
#include "ops/matrices.h"

namespace weft {

class RhsRun;

// Where a right-hand operand is laid out like that, or is a weight that has been packed so, it is read in place; else
// it is copied to f32 on each run (values that are not weights and whose contracted axes are not their last ones).
//
// A right-hand row is found by coordinates on the left-hand rows' axes (batch axes, and those that choose by ids)
// and on the output axes.
class RhsRows {
 public:
  RhsRows(const KernelContext& context, const Region& region, int operand, std::vector<AxisId> row_axes,
          std::vector<AxisId> n_axes, std::vector<AxisId> k_axes);

  ValueId value() const { return operand_.value; }
  Format format() const { return format_; }
  Layout layout() const { return interleaved_ ? interleaved_->layout() : kStored; }
  bool varies() const { return varies_; }  // with the left-hand row
  bool copied() const { return copied_; }
  size_t group_bytes() const { return interleaved_ ? interleaved_->group_bytes() : 0; }  // of an interleaved layout
  size_t copy_bytes() const { return copy_bytes_; }                                      // at the limits
  size_t workspace_bytes() const { return workspace_bytes_; }                            // per thread, for the copy
  // True where rows of the two are chosen alike, so that left-hand rows form the same groups.
  bool same_choice(const RhsRows& other) const;

  RhsRun bind(const StepArgs& args, const float* copy) const;
  // This thread's share of the copy.
  void copy(const StepArgs& args, const Team& team, std::byte* workspace, float* copy) const;

 private:
  friend class RhsRun;
  const Region* region_;
  Operand operand_;  // its view in the order in which the data lie
  Format format_ = Format::f32;
  std::optional<Interleaved> interleaved_;  // else as stored
  const std::byte* packed_ = nullptr;
  std::vector<AxisId> row_axes_, n_axes_, k_axes_;
  bool varies_ = false, copied_ = false;
  std::vector<AxisId> copy_axes_;  // those of row_axes_ that matter, n_axes_, k_axes_
  size_t copy_rows_rank_ = 0;
  SourceEvaluator copier_;
  size_t copy_bytes_ = 0, workspace_bytes_ = 0;
};

// The operand within one run.
class RhsRun {
 public:
  static constexpr int64_t kZero = std::numeric_limits<int64_t>::min();

  // Identifies the right-hand rows that left-hand row `r` meets: kZero where an id is out of range.
  int64_t choice(int64_t r) const;
  // Addresses of the right-hand rows of outputs [first, first + count); `zero` stands for rows of kZero.
  void rows(int64_t choice, int64_t first, int64_t count, const std::byte* zero, const std::byte** out) const;

  // In an interleaved layout: how many rows of a group come before output `first`, and the addresses of the groups that
  // hold outputs [first, first + count); `zero` stands for groups of kZero.
  int64_t rows_before(int64_t first) const { return (first_row_ + first) % group_rows_; }
  void groups(int64_t choice, int64_t first, int64_t count, const std::byte* zero, const std::byte** out) const;

 private:
  friend class RhsRows;
  const std::byte* base_ = nullptr;
  Format format_ = Format::f32;
  int64_t group_rows_ = 1, first_row_ = 0;                                   // interleaved: of the view in each matrix
  int64_t offset_ = 0, matrix_elements_ = 1, groups_ = 0, group_bytes_ = 0;  // the same; of the view in storage
  AxisSpace row_space_, n_space_;
  std::array<int64_t, AxisSpace::kMax> row_stride_{}, n_stride_{};
  struct Ids {
    const int32_t* data = nullptr;
    std::array<int64_t, AxisSpace::kMax> stride{};
    int64_t offset = 0, target_stride = 0, extent = 0;
  };
  int gathers_ = 0;
  std::array<Ids, ResolvedView::kMaxGathers> ids_{};
};

}  // namespace weft

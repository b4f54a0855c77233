// The right-hand sides of contractions as rows of one output each, their contracted elements contiguous.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "ops/contract/coordinates.h"
#include "ops/contract/kernels.h"
#include "ops/cpu/kernel.h"
#include "ops/cpu/source_eval.h"

namespace weft {

class RhsRun;

// Where a right-hand operand is laid out like that, or the packer has packed it like that, it is read in place; else it
// is copied to f32 on each run (values that are not weights and whose contracted axes are not their last ones).
//
// A right-hand row is found by coordinates on the left-hand rows' axes (batch axes, and those that choose by ids)
// and on the output axes.
class RhsRows {
 public:
  RhsRows(const KernelContext& context, const Region& region, int operand, std::vector<AxisId> row_axes,
          std::vector<AxisId> n_axes, std::vector<AxisId> k_axes);

  Format format() const { return format_; }
  bool varies() const { return varies_; }  // with the left-hand row
  bool copied() const { return copied_; }
  size_t copy_bytes() const { return copy_bytes_; }            // at the limits
  size_t workspace_bytes() const { return workspace_bytes_; }  // per thread, for the copy
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

 private:
  friend class RhsRows;
  const std::byte* base_ = nullptr;
  Format format_ = Format::f32;
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

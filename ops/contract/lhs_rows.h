// The left-hand sides of contractions as rows of f32: read where they lie, or computed by a prologue.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ops/contract/coordinates.h"
#include "ops/cpu/kernel.h"
#include "ops/cpu/source_eval.h"

namespace weft {

class LhsRun;

// The rows are over `row_axes`, each of the product of the extents of `k_axes` elements, in these orders. Together
// they are the axes of the source.
class LhsRows {
 public:
  static constexpr size_t kMaxReductions = 8;

  LhsRows(const KernelContext& context, const Region& region, const Source& source, std::vector<AxisId> row_axes,
          std::vector<AxisId> k_axes);

  // A plain f32 leaf whose rows are contiguous: nothing to compute.
  bool in_place() const { return in_place_ >= 0; }
  // False where a reduction runs across rows, so that they can only be computed all together.
  bool by_rows() const { return by_rows_; }
  size_t workspace_bytes() const { return workspace_bytes_; }  // per thread

  // `workspace`: this thread's own, 64-byte aligned.
  LhsRun bind(const StepArgs& args, std::byte* workspace) const;

 private:
  friend class LhsRun;
  int find_in_place(const KernelContext& context, const Source& source) const;

  const Region* region_;
  std::vector<AxisId> row_axes_, k_axes_, box_axes_;  // box_axes_: all but the reduced one
  AxisId reduced_ = kNoAxis;
  bool reduced_in_axes_ = false;
  bool by_rows_ = true;
  int in_place_ = -1;  // operand
  SourceEvaluator program_;
  std::vector<SourceEvaluator> reductions_;
  std::vector<ReduceOp> reduce_ops_;
  size_t workspace_bytes_ = 0;
};

// One thread's view of the rows, within one run of a step.
class LhsRun {
 public:
  int64_t rows() const { return rows_; }
  int64_t k() const { return k_; }

  // In place only.
  const float* row(int64_t r) const;
  // The row at coordinates that are given in another order: that of row axis i is coordinates[where[i]].
  int64_t flat(const int64_t* coordinates, std::span<const size_t> where) const {
    int64_t r = 0;
    for (size_t i = 0; i < where.size(); ++i) r = r * row_space_.extent[i] + coordinates[where[i]];
    return r;
  }

  // Computes rows [first, last) to out[(r - first) * k]. Needs by_rows().
  void evaluate(int64_t first, int64_t last, float* out);
  // This thread's share of all rows, to out[r * k].
  void evaluate_share(const Team& team, float* out);

 private:
  friend class LhsRows;
  void evaluate_boxes(int64_t first, int64_t last, int64_t origin, float* out);

  const LhsRows* owner_ = nullptr;
  int64_t rows_ = 0, k_ = 0;
  AxisSpace row_space_, box_space_;
  std::array<int64_t, AxisSpace::kMax> row_stride_{};  // in place, elements
  const float* base_ = nullptr;
  std::array<int64_t, AxisSpace::kMax> box_stride_{};  // in the result
  int64_t reduced_extent_ = 1, reduced_stride_ = 0;
  int64_t boxes_per_row_ = 1;
  SourceRun* program_ = nullptr;
  std::array<SourceRun*, LhsRows::kMaxReductions> reductions_{};
};

}  // namespace weft

// A norm as the epilogue of contractions: the region's body where it has reductions, line by line.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/contract/pass.h"
#include "ops/cpu/kernel.h"
#include "ops/cpu/source_eval.h"

namespace weft {

class LineNorm;

// One thread's lines, within one run of a step.
class LineNormRun {
 public:
  // Where a line reads a contraction: its elements are `stride` apart; one for the whole line where the contraction
  // does not vary along it.
  struct Sums {
    const float* at;
    int64_t stride;
  };
  // The line at `coordinates`, over the axes of the result without the reduced one: `sums` by contraction; elements of
  // `out` are `out_stride` apart.
  void line(const int64_t* coordinates, const Sums* sums, std::byte* out, int64_t out_stride);

 private:
  friend class LineNorm;
  static constexpr size_t kMaxReductions = 8;
  const void* const* provide(const Sums* sums, int64_t first, int64_t count);

  const LineNorm* owner_ = nullptr;
  int64_t extent_ = 0;  // of the reduced axis
  std::array<SourceRun*, kMaxReductions> reductions_{};
  SourceRun* body_ = nullptr;
  std::array<const void*, ContractPass::kMaxContractions + kMaxReductions> provided_{};
  std::array<uint32_t, kMaxReductions> results_{};
  float* pieces_ = nullptr;  // of sums that do not lie side by side
  std::byte* piece_out_ = nullptr;
};

// Reductions along one axis of the result, which read contractions, then a map over what they give and over
// contractions. A line is what is reduced together.
class LineNorm {
 public:
  // Of region.body, which has reductions. Throws Error where there are more than kMaxReductions.
  LineNorm(const KernelContext& context, const Region& region);

  size_t workspace_bytes() const { return workspace_bytes_; }
  // `workspace`: workspace_bytes() bytes, 64-byte aligned, this thread's own.
  LineNormRun bind(const StepArgs& args, std::byte* workspace) const;

 private:
  friend class LineNormRun;
  struct Step {
    ReduceOp op;
    Element element;
    SourceEvaluator evaluator;
    size_t workspace_at;
  };

  AxisId reduced_;
  std::vector<bool> varies_;  // by contraction: along a line
  std::vector<Step> reductions_;
  SourceEvaluator body_;
  size_t element_bytes_;
  size_t body_at_ = 0, pieces_at_ = 0, piece_out_at_ = 0, workspace_bytes_ = 0;
};

}  // namespace weft

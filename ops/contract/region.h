// The kernel of one region with contractions; a contract step is one such, an append has one per field.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ops/contract/coordinates.h"
#include "ops/contract/line_norm.h"
#include "ops/contract/pass.h"
#include "ops/cpu/epilogue.h"
#include "ops/cpu/kernel.h"
#include "ops/cpu/source_eval.h"

namespace weft {

class ContractRegion {
 public:
  // The result goes to `outputs`, as in Step::outputs. `context` and `region` must outlive this.
  ContractRegion(const KernelContext& context, const Region& region, std::span<const ValueId> outputs);

  size_t scratch_bytes() const { return scratch_bytes_; }
  void add_kernels(std::vector<KernelRange>& all) const;  // those that `all` lacks

  // As CpuKernel::run. With `slots`, row r (coordinate on the first of region.axes) of the result is stored as row
  // slots[r] of `rows_out`, in the format of the output, or nowhere if that is negative, and the output itself is only
  // a buffer: contiguous f32, used if stages_rows().
  void run(const StepArgs& args, const Team& team, std::byte* scratch, const int32_t* slots = nullptr,
           std::byte* rows_out = nullptr) const;
  bool stages_rows() const { return epilogue_.needed() || !fused_ || row_format_ != Format::f32; }

 private:
  class Sink;
  struct Stage {  // contractions of equal rows and columns, stored before the body reads them
    ContractPass pass;
    std::vector<int> contractions;
    std::vector<AxisId> axes;       // of the results
    size_t column_axes;             // the last of them
    std::vector<size_t> stored_at;  // by contraction, in scratch
  };
  // Contractions in scratch: where each begins, and how far apart elements are along each of region.axes.
  struct StoredSums {
    std::array<const float*, ContractPass::kMaxContractions> at{};
    std::array<std::array<int64_t, AxisSpace::kMax>, ContractPass::kMaxContractions> stride{};
  };
  void run_stages(const StepArgs& args, const Team& team, std::byte* scratch) const;
  void normalize_stored(const StepArgs& args, const Team& team, std::byte* own, const StoredSums& sums,
                        std::byte* body) const;
  void store_rows(const StepArgs& args, const Team& team, const int32_t* slots, std::byte* rows_out) const;

  const Region* region_;
  std::vector<ValueId> outputs_;
  int threads_;
  Format row_format_ = Format::f32;  // of the rows of an append; others are stored as their element says
  bool fused_ = false;               // the body is evaluated on the tiles of one pass
  bool finish_tiles_ = false;        // and each tile holds whole rows of what follows
  bool tiles_hold_blocks_ = true;    // of that format
  size_t column_axes_ = 0;           // last axes, along which a tile's rows run
  size_t unit_axes_ = 0;             // last axes that a tile must hold whole
  std::vector<Stage> stages_;        // one if fused
  SourceEvaluator body_;             // where it has no reductions
  std::optional<LineNorm> norm_;     // and where it has; if fused, each tile holds whole lines of it
  int64_t column_unit_;              // of columns that a tile holds
  bool body_is_sum_ = false;         // the body is contraction 0 itself
  Epilogue epilogue_;
  size_t finish_at_ = 0, shared_at_ = 0, threads_at_ = 0, thread_bytes_ = 0, body_at_ = 0, scratch_bytes_ = 0;
};

}  // namespace weft

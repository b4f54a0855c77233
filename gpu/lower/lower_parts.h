// Parts of gpu/lower/lower.h, one per kind of kernel.
#pragma once

#include <initializer_list>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/record/axis_list.h"
#include "gpu/lower/lower.h"
#include "gpu/lower/opencl_text.h"

namespace weft::gpu_lowering {

bool same_set(const AxisList& a, const AxisList& b);
std::function<int64_t(const GpuArgs&)> count_of(const AxisList& axes);  // product of the extents

// A region on its way to kernels.
class RegionLowering {
 public:
  RegionLowering(const GraphRecord& graph, const Step& step, const Region& region, const int64_t* max_extents,
                 const GpuShape& shape, const LowerOptions& options, StepPlan& plan)
      : graph_(graph),
        step_(step),
        region_(region),
        max_extents_(max_extents),
        shape_(shape),
        options_(options),
        plan_(plan) {}

  // `outputs`: the result; or values and ids, or ids only, with a selection; or the result and statistics of attention.
  void run(const std::vector<Target>& outputs);

 private:
  // ops/map, ops/reduce: a source, whose contractions (if it reads any) lie in `contractions`.
  void lower_source(const Source& source, const Target& target, const std::vector<Leaf>& contractions = {});
  void lower_reduce(const Source& source, const Target& target, const std::vector<Leaf>& contractions);
  // ops/contract.
  void lower_contractions(const Target& target);
  std::vector<OpenClPick> picks_for(int contraction);
  // The axes of a result with which no rhs of the contractions varies.
  AxisList rows_of(const std::vector<int>& contractions, const Target& target) const;
  // `picks`: of each of them.
  void lower_contract_kernel(const std::vector<int>& contractions, std::vector<std::vector<OpenClPick>> picks,
                             const Source* body, const Target& target);
  KernelPlan contract_kernel(const std::vector<int>& contractions, const std::vector<const OpenClKernel*>& kernels,
                             const Source* body, const Target& target, const AxisList& rows);
  std::string contract_part(KernelBuilder& builder, const CodeScope& columns, int contraction,
                            const OpenClKernel& kernel, const AxisList& rows);
  // ops/attention.
  void lower_attention(const Target& target, std::span<const Target> statistics);
  std::string score_part(KernelBuilder& builder, CodeScope& scope, int contraction);
  void compute(const std::vector<Target>& outputs);
  // ops/scan.
  void lower_scan(const Target& target);
  Leaf role_leaf(int lhs);
  // ops/append.
  void lower_encoding(const Target& rows, const Target& field);
  // ops/rope, ops/select.
  void lower_rotation(const Leaf& from, const Target& target);
  void lower_selection(const Leaf& from, const std::vector<Target>& outputs);

  Leaf leaf_of(int operand) const { return operand_leaf(graph_, region_, operand, options_.layouts); }
  // The lhs of a contraction over `over`: the operand itself where it is a plain f32 one, else a copy in scratch
  // that an earlier kernel of this step computes, contracted axes last.
  Leaf lhs_leaf(int lhs, const AxisList& over);
  // True where `over` are the last axes of the view, contiguous in this order.
  bool is_flat(const Leaf& leaf, const AxisList& over, const Region& region) const;
  Target scratch_target(const AxisList& axes, Element element);
  // A kernel of section "kernel" of the op's text; add() makes it the next stage.
  void add(KernelBuilder& builder, KernelPlan plan, const char* op, std::initializer_list<OpenClValue> values);
  void check_blocks() const;
  [[noreturn]] void fail(const std::string& what) const;

  const GraphRecord& graph_;
  const Step& step_;
  const Region& region_;
  const int64_t* max_extents_;
  const GpuShape& shape_;
  const LowerOptions& options_;
  StepPlan& plan_;
  std::vector<std::pair<std::pair<int, AxisList>, Leaf>> staged_;  // lhs already computed
  int kernels_ = 0;
};

// A kernel of a file that computes the step; nothing where none does.
std::optional<StepPlan> lower_rows(const GraphRecord& graph, const Step& step, const GpuShape& shape,
                                   const LowerOptions& options);
// Of a custom step that none takes.
[[noreturn]] void refuse_op(const Step& step);

// The kernel that records positions (append).
void lower_positions(const GraphRecord& graph, const CacheRecord& cache, const GpuShape& shape, StepPlan& plan);

// Completes a plan from a builder: name, arguments, and the source, which is `section` of the op's text with `values`
// and what every kernel has, `kernel`, `arguments` and `prologue`.
KernelPlan finish_kernel(KernelBuilder& builder, KernelPlan plan, const char* op, const char* section, int number,
                         const GpuShape& shape, std::initializer_list<OpenClValue> values);

}  // namespace weft::gpu_lowering

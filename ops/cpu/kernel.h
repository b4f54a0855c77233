// The contract between the plan (runtime/plan) and the CPU kernels (ops/*/cpu.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/record/graph.h"
#include "ops/cpu/group_rows.h"
#include "ops/cpu/kernel_table.h"
#include "ops/cpu/packed_weights.h"
#include "ops/cpu/team.h"
#include "ops/step.h"
#include "ops/weight_layouts.h"

namespace weft {

// Kernels are made by several threads at once, each for a separate plan; they may read the context, and nothing else
// that changes.
struct KernelContext {
  const GraphRecord& graph;
  const Step& step;
  const int64_t*
      max_extents;  // by AxisId: the plan's limits; static axes have their extent. Key axes: longest sequence
  Precision precision = Precision::fast;
  int threads = 1;
  PlanWeights* weights = nullptr;
  const ProductKernel* forced = nullptr;  // to be used where it can serve; null: none
  // Of the group that the step runs in; null: none. A kernel that is given it runs its contractions each time: the
  // first one that is made prepares what others of the group read.
  GroupRows* group = nullptr;
  const StepKernel* forced_step = nullptr;  // asked before all others; null: none
};

// A step made ready to run for any extents within the limits. Immutable: what a run writes lies in its StepArgs.
class CpuKernel {
 public:
  virtual ~CpuKernel() = default;
  // What it will run for how many rows, as `explain` shows it; each name once per range.
  virtual std::vector<KernelRange> kernels() const = 0;
  virtual size_t scratch_bytes() const = 0;  // for the whole team, at the limits
  // Called by every thread of the team; returns when this thread's share is done. Does its own barriers between
  // phases; the caller puts one after it. Allocates nothing and does not throw. Notes what it runs in `args`.
  virtual void run(const StepArgs& args, const Team& team) const = 0;

  std::string name() const { return kernel_text(kernels()); }  // in one line
};

// The kernel for a verified step: that of the preferred row of the table which takes it. Throws Error where none does.
std::unique_ptr<CpuKernel> select_cpu_kernel(const KernelContext& context);

// How the weights of a graph are to be held for the kernels that the table has for its steps. `extents`: by AxisId.
// `forced`: the layout that this row reads is preferred.
WeightLayouts choose_weight_layouts(const GraphRecord& graph, const int64_t* extents,
                                    const ProductKernel* forced = nullptr);

// The built-in rows for products: ops/contract.
void add_product_kernels(KernelTable& table);
// The built-in rows for whole steps; a step that several can take goes to the first one of these.
void add_step_kernels(KernelTable& table);
std::unique_ptr<CpuKernel> make_gather_kernel(const KernelContext& context);     // ops/gather: rows of a table
std::unique_ptr<CpuKernel> make_map_kernel(const KernelContext& context);        // ops/map
std::unique_ptr<CpuKernel> make_reduce_kernel(const KernelContext& context);     // ops/reduce
std::unique_ptr<CpuKernel> make_contract_kernel(const KernelContext& context);   // ops/contract
std::unique_ptr<CpuKernel> make_attention_kernel(const KernelContext& context);  // ops/attention
std::unique_ptr<CpuKernel> make_bf16_attention_kernel(const KernelContext& context);
std::unique_ptr<CpuKernel> make_append_kernel(const KernelContext& context);  // ops/append: wraps a kernel per field
std::unique_ptr<CpuKernel> make_scan_kernel(const KernelContext& context);    // ops/scan

}  // namespace weft

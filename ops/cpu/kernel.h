// The contract between the plan (runtime/plan) and the CPU kernels (ops/*/cpu.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/record/graph.h"
#include "ops/cpu/team.h"
#include "ops/step.h"

namespace weft {

// Weights in the layout that contractions read: rows of one output each, the contracted axes contiguous in storage
// order. A weight that already lies so is read in place; others are transposed once and kept for the plan's life.
// One weight that several steps read in one layout is packed once.
class WeightPacker {
 public:
  virtual ~WeightPacker() = default;
  // Storage of a weight operand whose axes, in the order `axes`, are to be contiguous (format f32 if it had to be
  // moved, else unchanged). `format` is set to the format of the result.
  virtual const std::byte* pack(const Region& region, const Operand& operand, std::span<const AxisId> axes,
                                Format& format) = 0;
};

// Kernels are made by several threads at once, each for a separate plan; they may read the context, and nothing else
// that changes.
struct KernelContext {
  const GraphRecord& graph;
  const Step& step;
  const int64_t*
      max_extents;  // by AxisId: the plan's limits; static axes have their extent. Key axes: longest sequence
  Precision precision = Precision::fast;
  int threads = 1;
  WeightPacker* packer = nullptr;
};

// A step made ready to run for any extents within the limits. Immutable: what a run writes lies in its StepArgs.
class CpuKernel {
 public:
  virtual ~CpuKernel() = default;
  virtual std::string name() const = 0;      // as `explain` shows it: "contract/q8_0-f32 rows<=4"
  virtual size_t scratch_bytes() const = 0;  // for the whole team, at the limits
  // Called by every thread of the team; returns when this thread's share is done. Does its own barriers between
  // phases; the caller puts one after it. Allocates nothing and does not throw.
  virtual void run(const StepArgs& args, const Team& team) const = 0;
};

// The kernel for a verified step. One readable list of candidates, most special first.
std::unique_ptr<CpuKernel> select_cpu_kernel(const KernelContext& context);

// Makers that select_cpu_kernel asks in turn; null where the step is not theirs.
std::unique_ptr<CpuKernel> make_gather_kernel(const KernelContext& context);     // ops/gather: rows of a table
std::unique_ptr<CpuKernel> make_map_kernel(const KernelContext& context);        // ops/map
std::unique_ptr<CpuKernel> make_reduce_kernel(const KernelContext& context);     // ops/reduce
std::unique_ptr<CpuKernel> make_contract_kernel(const KernelContext& context);   // ops/contract
std::unique_ptr<CpuKernel> make_attention_kernel(const KernelContext& context);  // ops/attention
std::unique_ptr<CpuKernel> make_append_kernel(const KernelContext& context);     // ops/append: wraps a kernel per field

}  // namespace weft

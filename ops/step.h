// What a step needs to run, on the CPU: the contract between the plan (runtime/) and the kernels (ops/*/cpu.cc).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/record/graph.h"

namespace weft {

// exact: products of the decoded weight and the f32 activation, f32 (or better) accumulation.
// fast:  a kernel may round activations to bf16 or to int8 blocks.
enum class Precision : uint8_t { exact, fast };
std::string_view name(Precision precision);

// Where the cached tokens of each sequence lie. See CacheRecord for the address of key coordinate j.
struct PageTable {
  const int32_t* pages = nullptr;   // [sequences][max_pages]: physical page numbers
  const int32_t* length = nullptr;  // [sequences]: cached tokens, those that this run appends included
  int32_t sequences = 0;
  int32_t max_pages = 0;
  int32_t page_size = 0;            // slots per page
  const int32_t* first = nullptr;   // [sequences]: keys before it are gone, their pages are not read; null: 0 for all

  bool operator==(const PageTable&) const = default;  // the same arrays
  int32_t first_of(int64_t sequence) const { return first == nullptr ? 0 : first[sequence]; }
};

// Bound anew for each run; building it allocates nothing.
struct StepArgs {
  const int64_t* extents = nullptr;  // by AxisId, of this run; key axes of caches have none (-1)
  void* const* data = nullptr;       // by ValueId: first byte of the value (cache fields: of slot 0 of the pool)
  const PageTable* pages = nullptr;  // by index into GraphRecord::caches
  std::byte* scratch = nullptr;      // CpuKernel::scratch_bytes() bytes, 64-byte aligned, shared by the team
};

// Where the threads of a team wait for each other: they look for a few microseconds, then sleep. (OpenMP's own barrier
// looks for so long that a machine with other work to do runs a small model a hundred times slower.)
class TeamBarrier {
 public:
  // For at most `threads` threads. `has_cpus`: there is a CPU for each of them. Where they share CPUs, looking only
  // keeps others from arriving.
  explicit TeamBarrier(int threads, bool has_cpus = true);
  void wait(int thread, int threads);

 private:
  bool shares_cpu(int thread, int threads) const;

  bool has_cpus_;
  std::atomic<int32_t> arrived_{0};
  std::atomic<int32_t> generation_{0};
  std::vector<std::atomic<int32_t>> cpu_;  // by thread: where it was when it last arrived
};

// The threads that run a plan. Every thread calls run() of every step with the same arguments but its own `thread`.
struct Team {
  int thread = 0;
  int threads = 1;
  TeamBarrier* meeting = nullptr;  // shared by the team; null: OpenMP's barrier
  void barrier() const;            // returns when all threads of the team have called it
};

// [first, last) of `count` items for `thread`: contiguous, sizes differ by at most one `grain`.
struct Range {
  int64_t first, last;
};
Range share(int64_t count, int64_t grain, const Team& team);

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

// Kernels are made by several threads at once, each for a plan of its own; they may read the context and nothing else that
// changes.
struct KernelContext {
  const GraphRecord& graph;
  const Step& step;
  const int64_t* max_extents;  // by AxisId: the plan's limits; static axes have their extent. Key axes: longest sequence
  Precision precision = Precision::fast;
  int threads = 1;
  WeightPacker* packer = nullptr;
};

// A step made ready to run for any extents within the limits. Immutable: what a run writes lies in its StepArgs.
class CpuKernel {
 public:
  virtual ~CpuKernel() = default;
  virtual std::string name() const = 0;        // as `explain` shows it: "contract/q8_0-f32 rows<=4"
  virtual size_t scratch_bytes() const = 0;    // for the whole team, at the limits
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

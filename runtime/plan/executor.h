// What a plan needs from the backend that runs it. One implementation per kind of device.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/record/graph.h"
#include "ops/cpu/team_trace.h"
#include "runtime/plan/device.h"
#include "runtime/plan/plan.h"
#include "runtime/plan/schedule.h"

namespace weft {

// Where a plan keeps its intermediate values and the scratch of its steps: in one block.
struct ArenaLayout {
  static constexpr size_t kNotInArena = static_cast<size_t>(-1);
  std::vector<size_t> offsets;  // by ValueId
  std::vector<size_t> scratch;  // by step: offset of its scratch
  std::vector<size_t> group;    // by step: offset of the memory that its group shares; kNotInArena: none
  size_t bytes = 0;
};

// Memory that steps of a group share while they run.
struct GroupScratch {
  size_t bytes = 0;
  std::vector<size_t> steps;  // in the order in which they run
};

// A run whose bindings have been checked.
struct RunArgs {
  const int64_t* extents = nullptr;     // by AxisId; -1 for key axes
  const void* const* inputs = nullptr;  // by ValueId, in host memory
  const PageTable* pages = nullptr;     // by cache, in host memory
  CachePool* pool = nullptr;
};

// What a run tells of itself; null: nothing.
struct RunRecords {
  StepInfo* profile = nullptr;  // by step: gets its time. Each step then ends before the next of its group begins
  RunTimes* starts = nullptr;   // with `profile`: gets the time until the first step begins
  TeamTrace* trace = nullptr;
};

class Executor {
 public:
  virtual ~Executor() = default;
  // Makes every step ready to run, including its weights. Returns what was chosen for each step. Groups of `schedule`
  // may be divided later; the order of its steps stays.
  virtual std::vector<StepInfo> select_kernels(const ExtentTable& limits, const PlanOptions& options,
                                               const Schedule& schedule) = 0;
  virtual size_t packed_weight_bytes() const = 0;           // of weights in another layout than stored
  virtual size_t mapped_weight_bytes() const { return 0; }  // of these, mapped from the file of a pack cache
  virtual size_t replaced_weight_bytes() const = 0;         // as stored, of weights that are not read so any more
  // Beside the scratch of each step.
  virtual std::vector<GroupScratch> group_scratch() const { return {}; }
  // Whether steps of a group may run at the same time, so that each needs scratch of its own.
  virtual bool overlaps_steps() const = 0;
  // Steps will run in the order of `schedule`, which must outlive the executor.
  virtual void allocate(const ArenaLayout& arena, const Schedule& schedule) = 0;
  // Allocates nothing on the CPU, unless something is recorded.
  virtual void run(const RunArgs& args, const RunRecords& records) = 0;
  // By group, after a run: how often the threads met, at its end included; what profiling adds is not counted. Empty
  // where no threads meet.
  virtual std::span<const int64_t> barriers() const { return {}; }
  // The first `bytes` of an intermediate value, after a run; valid until the next.
  virtual const void* read(ValueId value, size_t bytes) = 0;
  virtual std::shared_ptr<CachePool> make_cache_pool(std::span<const int64_t> slots_of_group, int64_t state_slots,
                                                     const int64_t* extents) = 0;
};

std::unique_ptr<Executor> make_cpu_executor(std::shared_ptr<const GraphRecord> graph, const Device& device);
std::unique_ptr<Executor> make_gpu_executor(std::shared_ptr<const GraphRecord> graph,
                                            std::shared_ptr<GpuDevice> device);

// Bytes of one slot of a cache's or state's value.
size_t slot_bytes(const GraphRecord& graph, ValueId value, const int64_t* extents);
// The fields of a cache, and its positions.
std::vector<ValueId> cache_values(const CacheRecord& cache);
// Throws Error unless the pool bound to a run was made for this graph; `of`: the graph of a pool of this kind, null
// where it is none.
void check_pool(const GraphRecord& graph, const GraphRecord* of);

}  // namespace weft

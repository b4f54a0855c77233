// From graph records to something that runs: verify, store caches, bind, schedule, select kernels, pack, plan memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/record/graph.h"
#include "ops/cpu/kernel_table.h"
#include "ops/step.h"
#include "runtime/plan/device.h"
#include "runtime/plan/extents.h"
#include "runtime/plan/run_times.h"
#include "runtime/plan/schedule.h"

namespace weft {

struct PlanOptions {
  Precision precision = Precision::fast;
  bool profile = false;     // measure the time of every step, which takes a barrier after each, and a clock reading
  std::string kernel = {};  // of the device's table, to be used wherever it can serve; empty: the preferred ones
  // What fields of caches are stored in, one of kCacheFormats: those that scores read, and the others. Empty: as the
  // graph has them, f32 unless it says otherwise. See runtime/plan/cache_formats.h.
  std::optional<Format> cache_k = {}, cache_v = {};
  // A folder, made if need be, in which packed weights are kept, to be mapped and not packed by the next process: a
  // file for each model and set of layouts (runtime/plan/pack_cache.h). For the CPU. Empty: nothing is kept.
  std::string pack_cache = {};
  // Is told in one line what could not be done as asked for, though the plan runs; may be empty.
  std::function<void(const std::string&)> warn = {};
  bool print_passes = false;  // each pass prints itself on stderr; so does WEFT_PRINT_PASSES=1
};

// Memory of a graph's caches and states on a plan's device: every cache has as many rows per field, and positions, as
// its group has slots, every state as many rows as there are slots of states. Initially zero. For one thread at a time.
class CachePool {
 public:
  virtual ~CachePool() = default;
  int64_t slots(int group) const { return slots_[static_cast<size_t>(group)]; }
  int64_t state_slots() const { return state_slots_; }
  size_t bytes() const { return bytes_; }
  // Copies rows [from, from + count) to [to, ...) in every field of the caches of `group`.
  virtual void copy_slots(int group, int64_t from, int64_t to, int64_t count) = 0;
  // Rows [first, first + count) of a field or a state, after a run, to host memory.
  virtual void read_slots(ValueId field, int64_t first, int64_t count, std::byte* to) const = 0;

 protected:
  std::vector<int64_t> slots_;  // by group
  int64_t state_slots_ = 0;
  size_t bytes_ = 0;
};

// The kernels that PlanOptions::kernel may name, whether this machine can run them or not: "f32-dot, f32-panels, ...".
std::string cpu_kernel_names();
std::string opencl_kernel_names();  // empty in a build without OpenCL

// What one run reads: inputs, and pages of caches. Made by Plan::bindings and kept between runs, so that binding
// allocates nothing. Data must stay valid and unchanged until the run has returned. For one thread at a time.
class Bindings {
 public:
  // `data`: contiguous elements in the value's format; `extents` in the order of the value's axes.
  // Throws Error where the value is not an input, or has a different number of axes.
  void input(ValueId value, const void* data, std::span<const int64_t> extents);
  void input(ValueId value, const void* data, std::initializer_list<int64_t> extents) {
    input(value, data, std::span(extents.begin(), extents.size()));
  }
  // The extent of an axis that no input has.
  void extent(AxisId axis, int64_t extent);
  // All caches and states of the graph lie in `pool` (null: none are read).
  void caches(CachePool* pool) { pool_ = pool; }
  // Where the tokens of cache `cache` are.
  void pages(int cache, const PageTable& table);

 private:
  friend class Plan;
  friend struct PlanState;
  explicit Bindings(std::shared_ptr<const GraphRecord> graph);
  const GraphRecord& graph() const;  // throws Error after a move

  std::shared_ptr<const GraphRecord> graph_;
  std::vector<const void*> data_;       // by ValueId
  std::vector<int64_t> value_extents_;  // [values][kMaxRank]
  std::vector<int64_t> axis_extents_;   // by AxisId; kUnknownExtent: not given
  std::vector<PageTable> pages_;        // by cache
  CachePool* pool_ = nullptr;
};

// A result after a run.
struct Output {
  const void* data = nullptr;
  Format format = Format::f32;
  int rank = 0;
  int64_t extents[kMaxRank] = {};
  int64_t elements() const;
  // Throws Error where the format differs.
  std::span<const float> floats() const;
  std::span<const int32_t> ints() const;

 private:
  void check() const;
};

// What the plan chose for one step.
struct StepInfo {
  std::string kernel;                     // in one line
  std::vector<KernelRange> kernels = {};  // what will run for how many rows of a group
  // Of profiled runs: what has run, as the kernels themselves tell, and how long it took.
  std::set<std::string, std::less<>> ran = {};
  RunTimes times = {};
  size_t scratch_bytes = 0;

  // Allocates for names that are new alone; null ones are none.
  void note(std::span<const char* const> names) {
    for (const char* one : names) {
      if (one != nullptr && !ran.contains(std::string_view(one))) ran.insert(one);
    }
  }
};

struct PlanMemory {
  size_t arena = 0;             // for intermediate values and scratch
  size_t intermediates = 0;     // what the values would take without reuse
  size_t scratch = 0;           // of the group that needs most
  size_t weights = 0;           // as stored, each once
  size_t packed_weights = 0;    // in another layout
  size_t mapped_weights = 0;    // of these, mapped from the file of a pack cache
  size_t replaced_weights = 0;  // as stored, of those that are read in another layout alone
};

// What lies in a plan's arena: an intermediate value, or the scratch of a group of steps.
struct ArenaPart {
  ValueId value = kNoValue;  // kNoValue: scratch
  size_t offset = 0, bytes = 0;
  size_t first_group = 0, last_group = 0;  // of the schedule: while these run it is in use
};

// One way to run a plan, as Plan::explain_runs shows it.
struct ExplainRun {
  std::string title;                   // heading of its columns: "prefill"
  Limits at;                           // extents of run-time axes to count with (the plan's limits where absent)
  std::vector<double> seconds;         // Plan::seconds_per_run() after such runs; empty: no times are shown
  std::vector<std::string> ran = {};   // Plan::kernels_that_ran() after them
  std::vector<int64_t> barriers = {};  // Plan::barriers() after such a run; empty: no barriers are shown
  std::string unit = {};               // what they are counted per: "decoded token"; empty: "run"
};

// What a step has to do, counted from its record.
struct StepCost {
  double flops = 0;          // additions, multiplications and calls of functions, one each
  double bytes = 0;          // values read and written, each once
  double product_flops = 0;  // of `flops`: products and their sums, in contractions and attention
  double weight_bytes = 0;   // of `bytes`: weights; of those gathered by tokens, as many as one token gathers
  double key_bytes = 0;      // of `bytes`: cached keys and values that are read, of one sequence
};

struct PlanState;
struct RunTrace;  // runtime/plan/run_trace.h

// A graph made ready for one device; it holds a copy of the records. Immutable except for its working memory: one
// thread at a time calls run, output, profile, trace and clear_profile. Plans are independent, even on the same device
// or with the same weights.
class Plan {
 public:
  Plan(Plan&&) noexcept;
  Plan& operator=(Plan&&) noexcept;
  ~Plan();

  const GraphRecord& graph() const;
  const Device& device() const;
  const PlanOptions& options() const;

  Bindings bindings() const;
  // Throws Error where the number of groups is too small, or a field or a state has an axis whose extent only a limit
  // bounds.
  std::shared_ptr<CachePool> make_cache_pool(std::span<const int64_t> slots_of_group, int64_t state_slots = 0) const;

  // Checks the bindings (extents that disagree, limits, pages and slots out of range: Error) and runs all steps.
  // Allocates nothing, unless it is the first one that is profiled, or traced.
  void run(const Bindings& bindings);

  // A result of the last run; valid until the next. Throws Error for a value that is not among the graph's
  // results.
  Output output(ValueId value);

  const std::vector<StepInfo>& steps() const;
  const Schedule& schedule() const;
  // By group of the schedule: how often the threads of the team met in the last run, at the end of the group
  // included; with one thread, how often several would have. What profiling adds is left out. Empty before a run,
  // and on OpenCL.
  std::span<const int64_t> barriers() const;
  // Whether the next runs are profiled, whatever the options say.
  void profile(bool on);
  // Runs add what their threads do to `trace`, which must outlive them, until null is given.
  void trace(RunTrace* trace);
  void clear_profile();  // forgets all times, and which kernels ran
  // Of whole profiled runs, from the check of their bindings to their end.
  const RunTimes& run_times() const;
  // Of these, from when the bindings are checked until the first step begins: inputs are copied to a device, or the
  // threads of the team wake up.
  const RunTimes& start_times() const;
  // By step, at these extents of run-time axes (the limits where absent).
  std::vector<StepCost> costs(const Limits& at = {}) const;
  // By step, over the profiled runs since clear_profile; empty without any.
  std::vector<double> seconds_per_run() const;
  // By step: the names of the kernels that did the work since then, as they tell themselves. Empty without any run.
  std::vector<std::string> kernels_that_ran() const;
  const PlanMemory& memory() const;
  std::vector<ArenaPart> arena() const;
  const ExtentTable& known_extents() const;  // before any run
  const ExtentTable& limits() const;

  // A table of the steps: kernel, shapes, FLOPs, bytes and, after profiled runs, time; above it, which steps run
  // together and what they share and, after a run, its barriers. `at`: extents of run-time axes to count with (the
  // limits where absent). Equal steps of different layers share a line, which shows their number and their sums, unless
  // `every_step` asks for one line each, with the number of its group.
  std::string explain(const Limits& at = {}, bool every_step = false) const;
  // The same with columns for several ways to run the plan, side by side; shapes are shortened.
  std::string explain_runs(std::span<const ExplainRun> runs, bool every_step = false) const;
  // Every step, with all of its figures.
  std::string explain_json(const Limits& at = {}) const;

 private:
  friend Plan compile(const Device&, std::shared_ptr<const GraphRecord>, const Limits&, const PlanOptions&);
  explicit Plan(std::unique_ptr<PlanState> state);
  PlanState& state() const;  // throws Error after a move
  std::unique_ptr<PlanState> state_;
};

// Every run-time axis of the graph needs a limit, including the key axes of caches (the longest sequence), unless
// the graph's rules derive it. Throws Error for a graph that is malformed or too large. Threads may compile
// concurrently.
Plan compile(const Device& device, std::shared_ptr<const GraphRecord> graph, const Limits& limits,
             const PlanOptions& options = {});

}  // namespace weft

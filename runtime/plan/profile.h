// What profiled runs of a plan took, step by step, beside what the machine allows.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ops/cpu/machine_limits.h"
#include "runtime/plan/plan.h"

namespace weft {

// The least time that a machine takes for a step.
struct LeastTime {
  double seconds = 0;     // 0: the step has no products to compute, and few weights and keys to read, if any
  bool by_reads = false;  // rather than by arithmetic
};

// For the products at the peak of `unit`, or for reading weights and keys of `sequences` sequences, whichever takes
// longer. Other values have just been written and lie in caches, so that nothing is known of their reads.
LeastTime least_time(const StepCost& cost, PeakUnit unit, const MachineLimits& limits, double sequences = 1);

// Runs of a plan that do the same work.
struct PlanProfile {
  std::string title;                         // "prefill of 512 tokens"
  std::vector<RunTimes> steps = {};          // by step
  std::vector<std::string> kernels = {};     // by step: Plan::kernels_that_ran()
  RunTimes runs = {}, starts = {};           // Plan::run_times() and Plan::start_times()
  std::vector<StepCost> costs = {};          // by step, with no more keys than the tokens see
  std::optional<MachineLimits> limits = {};  // of the plan's device; nothing: they are not known
};

// What `plan` has measured since Plan::clear_profile, of runs at the extents `at`; without limits.
PlanProfile take_profile(const Plan& plan, std::string title, const Limits& at);

// A table of the steps, in which equal ones share a line, which shows their sums, unless `every_step`; sums by kind of
// step; and how the sum of all steps agrees with the time of whole runs.
std::string profile_text(const Plan& plan, const PlanProfile& profile, bool every_step);

// Bytes of weights and keys that a run reads: over blocks of that size its reads are to be measured, where it is less
// than uncached_size.
size_t bytes_to_read(const std::vector<StepCost>& costs, double sequences = 1);

// "3.4 GB/s reads (of 256 MiB), 120 GFLOP/s FMA, ..."
std::string limits_text(const MachineLimits& limits);

}  // namespace weft

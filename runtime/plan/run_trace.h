// What a plan's threads did in some of its runs, for viewers of Chrome's trace format (Perfetto, chrome://tracing).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ops/cpu/team_trace.h"
#include "runtime/plan/plan.h"

namespace weft {

// Filled by the runs of a plan while it is given to Plan::trace. On the CPU these are as they always are but for
// readings of the clock; on OpenCL, which has one thread here, each step is waited for.
struct RunTrace {
  using Clock = TeamTrace::Clock;
  struct Run {
    Clock::time_point begin, end;
    std::vector<int64_t> extents;  // by AxisId
  };

  explicit RunTrace(const Plan& plan);
  TeamTrace team;
  std::vector<Run> runs;
};

// A JSON object in the Trace Event Format ("Trace Event Format", Google, 2016; complete events): a track of runs, named
// by their extents, and one for each thread, with its steps (their kernels and groups as arguments) and, as events
// called "wait", the times that it waited for the others. Times are microseconds since the first run began.
std::string chrome_trace(const Plan& plan, const RunTrace& trace);

}  // namespace weft

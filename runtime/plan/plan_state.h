// What the passes fill in and a plan then runs.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "runtime/plan/cache_formats.h"
#include "runtime/plan/executor.h"
#include "runtime/plan/memory_planner.h"
#include "runtime/plan/plan.h"
#include "runtime/plan/schedule.h"

namespace weft {

// An input whose ids must lie within the axis that a table is gathered along.
struct CheckedIds {
  ValueId ids = kNoValue, table = kNoValue;
  AxisId axis = kNoAxis;
  bool operator==(const CheckedIds&) const = default;
};
std::vector<CheckedIds> find_checked_ids(const GraphRecord& graph);

struct PlanState {
  PlanState(const Device& on, std::shared_ptr<const GraphRecord> record, const PlanOptions& with)
      : device(on), options(with), graph(std::move(record)), known(*graph), limits(*graph), current(*graph) {}

  Device device;
  PlanOptions options;
  std::shared_ptr<const GraphRecord> graph;
  std::vector<CacheFallback> cache_fallbacks;
  ExtentTable known;  // before any run
  ExtentTable limits;
  ExtentTable current;     // of the last run
  bool has_run = false;    // the last run succeeded
  std::vector<bool> used;  // by AxisId
  std::vector<CheckedIds> checked_ids;
  Schedule schedule;
  std::vector<LiveValue> lives;   // of the intermediate values, then of each group's scratch
  std::vector<ValueId> live_ids;  // which values these are
  MemoryPlan memory_plan;
  ArenaLayout arena;
  std::vector<StepInfo> steps;
  PlanMemory memory;
  RunTimes run_times, start_times;  // of profiled runs
  RunTrace* trace = nullptr;        // null: runs are not traced
  std::unique_ptr<Executor> executor;
  std::vector<const void*> inputs;  // by ValueId, of the current run

  // The one place where the extents and pages of a run are checked: sets `current`.
  void check(const Bindings& bindings);
  void check_pages(const Bindings& bindings) const;
  void check_states(const Bindings& bindings) const;
  void check_ids(const Bindings& bindings) const;
};

}  // namespace weft

// What `explain` says about groups of steps and barriers.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "runtime/plan/fold_steps.h"
#include "runtime/plan/plan_state.h"

namespace weft {

// Lines of the summary: the number of groups, what those of several steps share, and the barriers of each run that
// has any. `lines`: equal steps, which share a name.
std::string schedule_text(const PlanState& state, std::span<const EqualSteps> lines, std::span<const ExplainRun> runs);

// Adds "groups" and, unless `barriers`, by group, is empty, "barriers" and "barriers_per_layer".
void add_schedule(nlohmann::ordered_json& json, const PlanState& state, std::span<const int64_t> barriers);

}  // namespace weft

// What a plan's steps cost, counted from their records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/record/graph.h"
#include "runtime/plan/plan.h"

namespace weft {

// `extents`: by AxisId, of all axes that the step uses; a key axis has the length of one sequence. `run_time`: by
// AxisId, which extents are those of a run; empty: none.
StepCost step_cost(const GraphRecord& graph, const Step& step, const std::vector<int64_t>& extents,
                   const std::vector<bool>& run_time = {});

// "1.5 k", "12", "3.2 M": three digits and a decimal prefix.
std::string with_prefix(double number);
std::string byte_text(size_t bytes);    // "1.50 kB", "12 B"
std::string time_text(double seconds);  // "1.50 µs", "23.4 ms", "2.05 s"

}  // namespace weft

// What a plan's steps cost, counted from their records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/record/graph.h"

namespace weft {

struct StepCost {
  double flops = 0;  // additions, multiplications and calls of functions, one each
  double bytes = 0;  // values read and written, each once
};

// `extents`: by AxisId, of all axes that the step uses; a key axis has the length of one sequence.
StepCost step_cost(const GraphRecord& graph, const Step& step, const std::vector<int64_t>& extents);

// "1.5 k", "12", "3.2 M": three digits and a decimal prefix.
std::string with_prefix(double number);
std::string byte_text(size_t bytes);  // "1.50 kB", "12 B"

}  // namespace weft

// The plain meaning of every kind of step, in double precision and with simple loops: what all kernels are checked
// against. Slow. Per-op parts are in ops/*/reference.h.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/record/graph.h"
#include "ops/harness/case.h"
#include "ops/harness/rounding.h"
#include "ops/step.h"

namespace weft {

// Runs a verified step. Results are computed in double and rounded once, when they are stored.
void run_reference(const GraphRecord& graph, const Step& step, const StepArgs& args);

// What a step computes on the way to a result: "lhs.0" (the prologue of a contraction, if it is more than an operand),
// "lhs.0.reduction.0", "contraction.0", "reduction.0", "body" ("score" before a softmax), "softmax", "weighted",
// "rotated" and "candidates" (of a selection).
struct StepPart {
  ValueId value = kNoValue;  // the output that it leads to
  std::string name;
  std::vector<AxisId> axes;  // from slow to fast
  std::vector<int64_t> extents;
  std::vector<double> elements;
};
using VisitPart = std::function<void(const StepPart& part)>;

// The same, and calls `visit` with each part in the order of computation.
void run_reference(const GraphRecord& graph, const Step& step, const StepArgs& args, const VisitPart& visit);

// The parts that a run will visit, without extents and elements.
std::vector<StepPart> parts_of(const GraphRecord& graph, const Step& step);

// reset(), run_reference, outputs().
Outputs run_reference(const StepCase& step_case);

// What kernels of Precision::fast round, by what is on the right of a contraction.
using RoundedProducts = std::map<ValueId, std::vector<reference::RoundedRows>>;
Outputs run_reference(const StepCase& step_case, const RoundedProducts& rounded);

// The largest sum of absolute products among the elements of the step's contractions (and 1 at least): the scale
// of the rounding errors that a correct kernel may make, however far the sums cancel.
double absolute_sum(const StepCase& step_case);

// Elements that the step's selection chooses among (region.axes, row-major, in double). Needs the case's inputs.
std::vector<double> selection_candidates(const StepCase& step_case);

}  // namespace weft

// The plain meaning of every kind of step, in double precision and with simple loops: what all kernels are checked
// against. Slow. Per-op parts are in ops/*/reference.h.
#pragma once

#include "core/graph.h"
#include "ops/case.h"
#include "ops/step.h"

namespace weft {

// Runs a verified step. Results are computed in double and rounded once, when they are stored.
void run_reference(const GraphRecord& graph, const Step& step, const StepArgs& args);

// reset(), run_reference, outputs().
Outputs run_reference(const StepCase& step_case);

// The largest sum of absolute products among the elements of the step's contractions (and 1 at least): the scale
// of the rounding errors that a correct kernel may make, however far the sums cancel.
double absolute_sum(const StepCase& step_case);

// Elements that the step's selection chooses among (region.axes, row-major, in double). Needs the case's inputs.
std::vector<double> selection_candidates(const StepCase& step_case);

}  // namespace weft

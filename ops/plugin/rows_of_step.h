// Steps that are a formula and whose values lie as rows: what kernels of rows take, on every device.
#pragma once

#include <optional>
#include <vector>

#include "core/record/graph.h"
#include "ops/plugin/formula.h"

namespace weft {

struct RowsInput {
  ValueId value = kNoValue;
  std::vector<AxisId> row_axes;  // of its rows: those of the result, or those that they end with
  std::vector<float> weight;     // decoded; empty: f32, read where it is
};

struct RowsOfStep {
  std::vector<RowsInput> inputs;  // in the order in which the formula names them
  std::vector<float> constants;   // the same
  std::vector<AxisId> row_axes;   // of the result
  AxisId along = kNoAxis;         // a row
};

// Nothing where the step is not the formula, or its values do not lie as rows: the result's last axis (with a norm the
// one that is reduced) is a row, and an input has all rows, or those of the axes before the last that the result ends
// with. Inputs are f32; weights may have any format.
std::optional<RowsOfStep> find_rows(const GraphRecord& graph, const Step& step, const Formula& formula);

}  // namespace weft

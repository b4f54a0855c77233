#include "ops/matrices.h"

#include <algorithm>
#include <utility>

#include "core/record/axis_list.h"
#include "core/record/view.h"

namespace weft {

ContractionAxes axes_of(const Region& region, const Contraction& contraction) {
  ContractionAxes axes;
  const std::vector<AxisId>& lhs = region.lhs[static_cast<size_t>(contraction.lhs)].axes;
  const Operand& rhs = region.operands[static_cast<size_t>(contraction.rhs)];
  axes.rows = without(lhs, contraction.over);
  axes.columns = without(without(loop_axes(region, rhs), contraction.over), lhs);
  std::vector<AxisId> chosen;
  for (const ViewAxis& axis : rhs.view) {
    if (axis.gather >= 0) add_axes(chosen, loop_axes(region, region.operands[static_cast<size_t>(axis.gather)]));
  }
  // An axis that only ids have chooses the matrix, as rows do: each row is repeated along it.
  while (!axes.columns.empty() && contains(chosen, axes.columns.front())) {
    axes.rows.push_back(axes.columns.front());
    axes.columns.erase(axes.columns.begin());
  }
  for (const AxisId axis : contraction.over) (contains(chosen, axis) ? axes.summed : axes.k).push_back(axis);
  if (axes.k.empty()) std::swap(axes.k, axes.summed);  // rows of one element are worse than a copy
  return axes;
}

bool is_chosen_by_rows(const Region& region, const Operand& operand, std::span<const AxisId> row_axes) {
  for (const ViewAxis& axis : operand.view) {
    if (axis.gather < 0) continue;
    const Operand& ids = region.operands[static_cast<size_t>(axis.gather)];
    for (const AxisId along : loop_axes(region, ids)) {
      if (!contains(row_axes, along)) return false;
    }
    for (const ViewAxis& id_axis : ids.view) {
      if (id_axis.gather >= 0) return false;
    }
  }
  return true;
}

std::optional<MatrixShape> matrix_of_rows(const GraphRecord& graph, const Region& region,
                                          const Contraction& contraction, const int64_t* extents) {
  const Operand& rhs = region.operands[static_cast<size_t>(contraction.rhs)];
  const ValueRecord& value = graph.values[rhs.value];
  if (value.kind != ValueKind::weight) return std::nullopt;
  const ContractionAxes axes = axes_of(region, contraction);
  const std::vector<AxisId> row_axes = joined(axes.rows, axes.summed);
  if (axes.k.empty() || axes.columns.empty() || !is_chosen_by_rows(region, rhs, row_axes)) return std::nullopt;
  // From the fastest axis on: contracted ones, then outputs, both in order; then those that choose a matrix.
  MatrixShape shape{1, 1, 1};
  size_t at = rhs.view.size();
  for (size_t i = axes.k.size(); i-- > 0;) {
    if (at == 0) return std::nullopt;
    const ViewAxis& axis = rhs.view[--at];
    if (axis.gather >= 0 || axis.axis != axes.k[i] || extents[axis.stored] != extents[axis.axis]) return std::nullopt;
    shape.k *= extents[axis.stored];
  }
  for (size_t i = axes.columns.size(); i-- > 0;) {
    if (at == 0) return std::nullopt;
    const ViewAxis& axis = rhs.view[--at];
    if (axis.gather >= 0 || axis.axis != axes.columns[i]) return std::nullopt;
    // Only the slowest one may be a part of its axis: else rows are left out between others.
    if (i > 0 && extents[axis.stored] != extents[axis.axis]) return std::nullopt;
    shape.rows *= extents[axis.stored];
  }
  for (; at > 0; --at) {
    const ViewAxis& axis = rhs.view[at - 1];
    if (axis.gather < 0 && !contains(row_axes, axis.axis)) return std::nullopt;
    shape.slices *= extents[axis.stored];
  }
  if (shape.k % info(value.format).block_elements != 0) return std::nullopt;
  return shape;
}

namespace {

// The program loads one operand and does nothing to it.
const Operand* only_load(const Region& region) {
  const std::vector<ScalarInstr>& code = region.body.program.code;
  if (code.size() != 1 || code[0].op != ScalarOp::load || code[0].type != Element::f32) return nullptr;
  return &region.operands[static_cast<size_t>(code[0].imm)];
}

bool is_whole(const ViewAxis& axis) { return axis.gather < 0 && axis.axis == axis.stored && axis.begin == 0; }

// The table's view is [gathered][row axes], the ids' is whole, and the result is [ids' axes][row axes].
bool is_gather_of_rows(const GraphRecord& graph, const Region& region) {
  const Operand* table = only_load(region);
  if (table == nullptr || table->view.size() < 2 || table->view[0].gather < 0 || table->view[0].begin != 0)
    return false;
  const Operand& ids = region.operands[static_cast<size_t>(table->view[0].gather)];
  std::vector<AxisId> axes;
  for (const ViewAxis& axis : ids.view) {
    if (!is_whole(axis)) return false;
    axes.push_back(axis.axis);
  }
  for (size_t i = 1; i < table->view.size(); ++i) {
    if (!is_whole(table->view[i])) return false;
    axes.push_back(table->view[i].axis);
  }
  return axes == region.axes && info(graph.values[table->value].format).is_float;
}

}  // namespace

const Operand* gathered_table(const GraphRecord& graph, const Step& step) {
  if (step.kind != StepKind::map || !is_gather_of_rows(graph, step.regions[0])) return nullptr;
  return only_load(step.regions[0]);
}

}  // namespace weft

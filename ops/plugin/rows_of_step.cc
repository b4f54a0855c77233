#include "ops/plugin/rows_of_step.h"

#include <algorithm>
#include <span>
#include <utility>

#include "core/record/axis_list.h"
#include "core/record/view.h"
#include "ops/plugin/fields.h"

namespace weft {
namespace {

bool is_plain(const ViewAxis& axis) { return axis.gather < 0 && axis.axis == axis.stored && axis.begin == 0; }

// An operand that has rows along `along`: all those of `row_axes`, or those that they end with.
std::optional<RowsInput> as_rows(const GraphRecord& graph, const Operand& operand, std::span<const AxisId> row_axes,
                                 AxisId along) {
  const ValueRecord& value = graph.values[operand.value];
  if (value.is_cached() || value.element() != Element::f32) return std::nullopt;
  if (operand.view.empty() || !std::ranges::all_of(operand.view, is_plain)) return std::nullopt;
  RowsInput input{.value = operand.value, .row_axes = {}, .weight = {}};
  for (const ViewAxis& axis : operand.view) input.row_axes.push_back(axis.axis);
  if (input.row_axes.back() != along) return std::nullopt;
  input.row_axes.pop_back();
  const size_t count = input.row_axes.size();
  if (count > row_axes.size() || !std::ranges::equal(input.row_axes, row_axes.last(count))) return std::nullopt;
  if (value.format == Format::f32) return input;
  if (value.kind != ValueKind::weight) return std::nullopt;
  const Storage& storage = *value.storage;
  int64_t elements = 1;
  for (const int64_t extent : storage.extents) elements *= extent;
  if (elements == 0) return std::nullopt;
  input.weight.resize(static_cast<size_t>(elements));
  decode_row(value.format, storage.stored(), input.weight.size(), input.weight.data());
  return input;
}

}  // namespace

std::optional<RowsOfStep> find_rows(const GraphRecord& graph, const Step& step, const Formula& formula) {
  if (step.kind != formula.kind() || step.regions.size() != 1) return std::nullopt;
  const Region& region = step.regions.front();
  if (region.attention || region.rotation || region.selection || !region.post.empty() || !region.lhs.empty()) {
    return std::nullopt;
  }
  std::optional<FormulaMatch> found = match(formula, region);
  if (!found || found->operands.size() > kMostInputs || region.body.program.type() != Element::f32) return std::nullopt;
  // The row is the last axis; a norm's is the reduced one, which the result may not have.
  RowsOfStep rows{.inputs = {}, .constants = std::move(found->constants), .row_axes = region.axes, .along = kNoAxis};
  rows.along = region.custom ? region.custom->along : region.body.reduced;
  const bool has_row = rows.along == kNoAxis || contains(rows.row_axes, rows.along);
  if (has_row == formula.reduces_row || (has_row && rows.row_axes.empty())) return std::nullopt;
  if (has_row) {
    if (rows.along != kNoAxis && rows.row_axes.back() != rows.along) return std::nullopt;
    rows.along = rows.row_axes.back();
    rows.row_axes.pop_back();
  }
  for (const int operand : found->operands) {
    auto input = as_rows(graph, region.operands[static_cast<size_t>(operand)], rows.row_axes, rows.along);
    if (!input) return std::nullopt;
    rows.inputs.push_back(std::move(*input));
  }
  return rows;
}

}  // namespace weft

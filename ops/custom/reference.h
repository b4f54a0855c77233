// An op that only kernels of its name know: its reference is the one that a kernel file declares.
#pragma once

#include <string>
#include <vector>

#include "core/error.h"
#include "ops/map/reference.h"
#include "ops/plugin/plugin.h"

namespace weft::reference {

// Each operand is handed over with all rows of the result.
inline Table<ScalarValue> run_custom(StepScope& scope) {
  const CustomOp& op = *scope.region.custom;
  const weft_kernel* kernel = find_op_reference(op.name);
  if (kernel == nullptr) throw Error("op '" + op.name + "' has no reference");
  Table<ScalarValue> result(scope, scope.region.axes);
  const int64_t width = scope.extent(op.along);
  const int64_t rows = width == 0 ? 0 : static_cast<int64_t>(result.elements.size()) / width;
  std::vector<std::vector<float>> operands;
  std::vector<const float*> inputs;
  for (const int operand : op.operands) {
    const ScalarProgram load{{{.op = ScalarOp::load, .type = Element::f32, .imm = operand}}};
    const Table<ScalarValue> table = map(scope, scope.region.axes, load, {});
    std::vector<float>& elements = operands.emplace_back();
    for (const ScalarValue& element : table.elements) elements.push_back(static_cast<float>(element.f));
  }
  for (const std::vector<float>& elements : operands) inputs.push_back(elements.data());
  const std::vector<int64_t> input_rows(operands.size(), rows);
  std::vector<float> output(result.elements.size());
  const weft_rows call{.first = 0,
                       .last = rows,
                       .width = width,
                       .output_width = width,
                       .inputs = inputs.data(),
                       .input_rows = input_rows.data(),
                       .constants = op.constants.data(),
                       .output = output.data()};
  if (rows > 0) kernel->rows(&call);
  for (size_t i = 0; i < output.size(); ++i) result.elements[i].f = static_cast<double>(output[i]);
  return result;
}

}  // namespace weft::reference

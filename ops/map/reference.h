// A program at the current coordinates, and over all coordinates.
#pragma once

#include "ops/gather/reference.h"
#include "ops/harness/reference_scope.h"

namespace weft::reference {

inline ScalarValue evaluate_here(const StepScope& scope, const ScalarProgram& program, const Results& results) {
  const auto source = [&](const ScalarInstr& instr) -> ScalarValue {
    const auto index = static_cast<size_t>(instr.imm);
    switch (instr.op) {
      case ScalarOp::load: return read_operand(scope, instr.imm);
      case ScalarOp::index: return {0, static_cast<int32_t>(scope.coordinate[index])};
      case ScalarOp::extent: return {0, static_cast<int32_t>(scope.extent(static_cast<AxisId>(index)))};
      case ScalarOp::reduction: return results.reductions[index].at(scope);
      case ScalarOp::contraction: return {results.contractions[index].at(scope), 0};
      default: return {results.rotated->at(scope), 0};
    }
  };
  return evaluate(program, source,
                  [&](const ScalarInstr& instr, int32_t at) { return read_operand(scope, instr.imm, at); });
}

inline Table<ScalarValue> map(StepScope& scope, const std::vector<AxisId>& axes, const ScalarProgram& program,
                              const Results& results) {
  Table<ScalarValue> table(scope, axes);
  for_each(scope, axes, [&] { table.at(scope) = evaluate_here(scope, program, results); });
  return table;
}

}  // namespace weft::reference

// Cases of a formula: numbers and widths of rows around those of vectors, inputs that have all rows and such that have
// one for all, or one for each of the last axis of rows.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ops/harness/case.h"
#include "ops/plugin/formula.h"

namespace weft {

// How the inputs behind the first lie; the first one has all rows.
enum class OtherInputs : unsigned char { all_rows, one_row, row_of_each_head };

// `rows` x `heads` rows of `width` elements; constants of the formula are `constant`.
inline StepCase formula_case(const Formula& formula, int64_t rows, int64_t heads, int64_t width, OtherInputs others,
                             float constant = 1e-5f, Fill fill = {}) {
  const char* of_others[] = {"", ", one row of the others", ", a row of the others for each head"};
  CaseBuilder c(formula.kind(), formula.text + " " + std::to_string(rows) + "x" + std::to_string(heads) + "x" +
                                    std::to_string(width) + of_others[static_cast<size_t>(others)] +
                                    (fill.nonfinite > 0 ? ", not all finite" : ""));
  const AxisId pos = c.axis("pos", rows), head = c.axis("head", heads), along = c.axis("along", width);
  std::vector<int> operands;
  for (size_t i = 0; i < formula.inputs.size(); ++i) {
    std::vector<AxisId> axes = {pos, head, along};
    if (i > 0 && others == OtherInputs::one_row) axes = {along};
    if (i > 0 && others == OtherInputs::row_of_each_head) axes = {head, along};
    operands.push_back(axes.size() == 3 ? c.operand(c.input(formula.inputs[i], axes, Format::f32, fill))
                                        : c.operand(c.weight(formula.inputs[i], axes)));
  }
  // The formula's own records, over these operands.
  const Region& region = formula.graph.steps.front().regions.front();
  const auto over_operands = [&](ScalarProgram program) {
    for (ScalarInstr& instr : program.code) {
      if (instr.op == ScalarOp::load) {
        instr.imm = operands[region.operands[static_cast<size_t>(instr.imm)].value];
      } else if (instr.op == ScalarOp::constant && formula.is_stand_in(instr)) {
        instr.imm_f = constant;
      }
    }
    return program;
  };
  std::vector<Reduction> reductions;
  for (const Reduction& reduction : region.body.reductions) {
    reductions.push_back({reduction.op, over_operands(reduction.program)});
  }
  std::vector<AxisId> axes = {pos, head};
  if (!formula.reduces_row) axes.push_back(along);
  if (!formula.op.empty()) {
    c.region().custom = CustomOp{formula.op, along, operands, std::vector<float>(formula.constants.size(), constant)};
  }
  const AxisId reduced = reductions.empty() ? kNoAxis : along;
  c.body(axes, over_operands(region.body.program), reduced, std::move(reductions));
  return c.build();
}

// `widths`: those that the formula is for; none: any.
inline std::vector<StepCase> formula_cases(const Formula& formula, const std::vector<int64_t>& widths = {}) {
  std::vector<OtherInputs> ways = {OtherInputs::all_rows};
  if (formula.inputs.size() > 1) ways.insert(ways.end(), {OtherInputs::one_row, OtherInputs::row_of_each_head});
  std::vector<StepCase> cases;
  const std::pair<int64_t, int64_t> kRows[] = {{1, 1}, {1, 3}, {2, 1}, {5, 2}, {17, 1}, {0, 2}, {3, 0}};
  const auto add = [&](int64_t width, OtherInputs others) {
    for (const auto& [rows, heads] : kRows) cases.push_back(formula_case(formula, rows, heads, width, others));
    cases.push_back(formula_case(formula, 3, 2, width, others, 0.25f));
    cases.push_back(formula_case(formula, 6, 2, width, others, 1e-5f, {.nonfinite = 0.02}));
  };
  for (const OtherInputs others : ways) {
    for (const int64_t width : widths) add(width, others);
    if (!widths.empty()) continue;
    for (const int64_t width : {1, 2, 7, 15, 16, 17, 31, 63, 64, 65}) add(width, others);
    for (const int64_t width : {255, 256, 257, 1000}) cases.push_back(formula_case(formula, 2, 2, width, others));
    cases.push_back(formula_case(formula, 1, 1, 4096, others));
    cases.push_back(formula_case(formula, 3, 1, 4097, others));
  }
  return cases;
}

}  // namespace weft

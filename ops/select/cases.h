// Argmax and top-k of a map's and a contraction's result: any axis, ties, NaN, more choices than fit a list.
#pragma once

#include <string>
#include <vector>

#include "ops/harness/case.h"

namespace weft {

// The k largest along axis `along`; k = 0: argmax, ids only. Few different values, so that there are ties.
inline StepCase selection_case(std::vector<int64_t> extents, size_t along, int64_t k, bool values, double nonfinite = 0,
                               bool ties = false) {
  std::string shape;
  for (const int64_t extent : extents) shape += " " + std::to_string(extent);
  CaseBuilder c(StepKind::reduce, "top " + std::to_string(k) + " along axis " + std::to_string(along) + " of" + shape);
  std::vector<AxisId> axes;
  for (const int64_t extent : extents) axes.push_back(c.axis("a" + std::to_string(axes.size()), extent));
  const AxisId choice = k > 0 ? c.axis("choice", k) : kNoAxis;
  const int x = c.operand(c.input("x", axes, Format::f32, {.low = -4, .high = 4, .nonfinite = nonfinite}));
  ScalarBuilder s;
  c.body(axes, s.finish(ties ? floor(s.load(x)) : s.load(x)));
  c.selection(axes[along], choice, values);
  return c.build();
}

// The same of a contraction's results: argmax (`choices` == 0) or top-k.
inline StepCase selected_projection_case(int64_t rows, int64_t outputs, int64_t choices, Format format) {
  CaseBuilder c(StepKind::contract, "selected " + std::to_string(choices) + " of " + std::to_string(outputs) +
                                        " rows " + std::to_string(rows));
  const AxisId pos = c.axis("pos", rows), out = c.axis("out", outputs), in = c.axis("in", 64);
  const int x = c.operand(c.input("x", {pos, in})), w = c.operand(c.weight("w", {out, in}, format));
  ScalarBuilder s;
  c.contraction(c.lhs(x), w, {in});
  c.body({pos, out}, s.finish(s.contraction()));
  if (choices == 0) c.selection(out, kNoAxis, false);
  else c.selection(out, c.axis("choice", choices));
  return c.build();
}

inline std::vector<StepCase> selection_cases() {
  std::vector<StepCase> cases;
  for (const int64_t extent : {1, 2, 8, 63, 64, 65, 256, 1000}) {
    for (const int64_t k : {0, 1, 2, 8}) {
      if (k > extent) continue;
      for (const int64_t rows : {0, 1, 3}) cases.push_back(selection_case({rows, extent}, 1, k, k > 0));
      cases.push_back(selection_case({extent, 3}, 0, k, false, 0, true));
      cases.push_back(selection_case({2, extent, 5}, 1, k, k > 0, 0.3, true));
      cases.push_back(selection_case({extent}, 0, k, k > 0, 1.0));
    }
  }
  for (const int64_t k : {0, 1, 5, 64, 65, 1000}) {
    cases.push_back(selection_case({1, 20000}, 1, k, k > 0, 0, true));
    cases.push_back(selection_case({1, 20000}, 1, k, k > 0));
  }
  cases.push_back(selection_case({2, 100}, 1, 100, true));
  cases.push_back(selection_case({2, 30}, 1, 30, true, 0.5));
  cases.push_back(selection_case({2, 1}, 1, 5, true, 0.2));  // more than there are
  for (const int64_t rows : {1, 4, 40}) {
    cases.push_back(selected_projection_case(rows, 200, 0, Format::q8_0));
    cases.push_back(selected_projection_case(rows, 77, 5, Format::f32));
  }
  return cases;
}

}  // namespace weft

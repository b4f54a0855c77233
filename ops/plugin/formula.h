// Formulas of rows, in which kernel files say what they compute: "rms_norm(x, w, $eps)", "silu(a) * b",
// "x * rsqrt(mean(x * x) + $eps)". They are recorded as the expressions of the surface are, and found in the records of
// steps by one matcher.
//
//   names      inputs: rows of one width      $names  constants, of any value
//   + - * / numbers ( )
//   of one     exp log log1p sqrt rsqrt tanh sigmoid softplus erf sin cos floor abs silu gelu gelu_tanh
//   of two     min max pow
//   of a row   sum mean max, each of one argument; softmax(x), rms_norm(x, w, $eps), rms_norm(x, $eps),
//              layer_norm(x, w, b, $eps), layer_norm(x, $eps), l2_norm(x, $eps)
//
// "op NAME(x, w, $c)" is an op of which no more is known (ops/custom/custom.h): inputs, then constants.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/record/graph.h"

namespace weft {

struct Formula {
  std::string text;
  std::vector<std::string> inputs, constants;  // in the order in which the text names them
  // A step over the axes {row, along} that computes it, or over {row} where `reduces_row`. Value i is input i.
  GraphRecord graph;
  bool reduces_row = false;
  std::string op;  // the name of one of which no more is known
  const Source& source() const { return graph.steps.front().regions.front().body; }
  StepKind kind() const { return graph.steps.front().kind; }
  // Whether a constant of its programs stands for one of `constants`.
  bool is_stand_in(const ScalarInstr& constant) const;
};

// Throws Error that names the place in the text.
Formula parse_formula(std::string_view text);

// What stands for the inputs and constants of a formula in a region.
struct FormulaMatch {
  std::vector<int> operands;  // by input: index into the region's operands
  std::vector<float> constants;
};

// Whether the region's body is the formula, with sums and products in any order. Nothing is said of its axes.
std::optional<FormulaMatch> match(const Formula& formula, const Region& region);

}  // namespace weft

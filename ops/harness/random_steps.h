// Generated steps of every kind, by seed: random axes, extents, formats, views, programs.
#pragma once

#include <cstdint>
#include <string>

#include "core/record/graph.h"
#include "ops/harness/case.h"

namespace weft {

struct RandomStep {
  StepCase step_case;
  std::string code;  // C++ that builds the case
  // What a correct kernel may differ by: the first-order bound of f32 rounding along the programs (see
  // ops/harness/random_programs.h), in which a sum of n products of magnitude up to b counts with
  // 6 b sqrt(n) * 2^-24 (sqrt(n) + 2), that is about 6 * 2^-24 of the largest sum of absolute products; and beside
  // it 1e-5 of the result.
  Tolerance tolerance;
  bool block_weights = false;  // a contraction reads blocks of a quantized format
  bool nonfinite = false;      // some inputs are NaN or infinite
};

// `lhs_rounding`: relative rounding of activations that contractions may make, 0 for Precision::exact.
RandomStep random_step(uint64_t seed, double lhs_rounding = 0);
RandomStep random_step(uint64_t seed, StepKind kind, double lhs_rounding = 0);

}  // namespace weft

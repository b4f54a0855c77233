// Single operations to be timed: what they are called, and what they compute and read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ops/harness/case.h"
#include "ops/plugin/formula.h"

namespace weft::tools {

// out [rows, outputs] = left [rows, k] times the transpose of right [outputs, k], all by rows.
struct MatrixShape {
  int64_t rows = 0, outputs = 0, k = 0;
};

struct OpWork {
  std::string name;
  StepCase step_case;
  double flops = 0;  // 0: nobody knows
  double bytes = 0;  // of memory: a formula's inputs and result; weights; the keys and values that are seen
  int64_t rows = 1;  // of a contraction's left-hand side
  std::optional<MatrixShape> matrices = {};  // that it multiplies, and nothing else
};

// Extents "4x8x32"; as many as `form` has: "ROWSxWIDTH". Throws Error that names `flag` and the form.
std::vector<int64_t> parse_extents(const std::string& text, const std::string& flag, const std::string& form);

// Rows of a formula. Of a norm, the inputs behind the first have one row.
OpWork formula_work(const Formula& formula, int64_t rows, int64_t width);
// Throws Error where k is not whole blocks of the format.
OpWork contract_work(Format format, int64_t rows, int64_t outputs, int64_t k);

struct AttentionWork {
  int64_t rows = 1, keys = 4096;  // the queries are the last of the keys' positions
  int64_t heads = 8, group = 4;   // of keys, and queries to each
  int64_t dim = 128;              // of keys and values
  std::string score = "causal";   // some of causal, window, alibi, softcap, prefix, joined by +
  Format cache = Format::f32;
};
// Throws Error for a score that is none.
OpWork attention_work(const AttentionWork& shape);

// A step of a model, with the FLOPs that `weft explain` counts.
OpWork case_work(StepCase step_case);

}  // namespace weft::tools

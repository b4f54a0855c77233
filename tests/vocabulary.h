// The largest contraction that small models have: output and embedding of a vocabulary, for one token. The reference
// would take long for all of it: a part of its rows is computed anew, the first and the last among them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/record/graph.h"
#include "ops/contract/cases.h"
#include "ops/contract/reference.h"
#include "ops/harness/case.h"

namespace weft {

inline constexpr int64_t kVocabulary = 151936, kVocabularyWidth = 896;

inline StepCase vocabulary_case(Format format) { return linear_case(1, kVocabulary, kVocabularyWidth, format); }

// `quantized`: activations are rounded to int8 blocks.
inline void expect_vocabulary(const StepCase& step_case, const Outputs& outputs, bool quantized) {
  const Region& region = step_case.step().regions[0];
  const ValueId weight = region.operands[1].value;
  const Format format = step_case.graph.values[weight].format;
  const std::byte* rows = step_case.bytes[weight].data();
  const auto* x = reinterpret_cast<const float*>(step_case.initial[region.operands[0].value].data());
  const std::vector<float> stored(x, x + kVocabularyWidth);
  const std::vector<double> activations =
      quantized ? reference::quantized(stored) : std::vector<double>(stored.begin(), stored.end());
  ASSERT_EQ(outputs[0].size(), kVocabulary * sizeof(float));
  const auto* got = reinterpret_cast<const float*>(outputs[0].data());
  for (int64_t step = 0; step < kVocabulary + 97; step += 97) {
    const int64_t row = std::min(step, kVocabulary - 1);
    std::vector<float> w(kVocabularyWidth);
    decode_row(format, rows + static_cast<size_t>(row) * row_bytes(format, w.size()), w.size(), w.data());
    double want = 0, absolute = 0;
    for (size_t i = 0; i < w.size(); ++i) {
      const double product = activations[i] * static_cast<double>(w[i]);
      want += product;
      absolute += std::fabs(product);
    }
    ASSERT_NEAR(got[row], want, 1e-6 * absolute) << "row " << row;
  }
}

}  // namespace weft

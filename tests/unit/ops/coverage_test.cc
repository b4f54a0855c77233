// The case tables are of use only while they reach everything: each storage format in each place that reads
// weights, and the extreme shapes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "core/record/graph.h"
#include "ops/contract/cases.h"
#include "ops/contract/reference.h"
#include "ops/gather/cases.h"
#include "ops/harness/run_cpu.h"
#include "ops/map/cases.h"
#include "tests/fast_reference.h"

namespace weft {
namespace {

bool is_gathered(const Operand& operand) {
  return std::ranges::any_of(operand.view, [](const ViewAxis& axis) { return axis.gather >= 0; });
}

void expect_all(const std::set<Format>& formats, const std::string& where) {
  for (const Format format : kFloatFormats) {
    EXPECT_TRUE(formats.contains(format)) << "no case " << where << " " << name(format);
  }
}

TEST(CaseTables, ContractEveryFormat) {
  std::set<Format> dense, chosen, transposed, one_by_one, quantized;
  for (const StepCase& step_case : contract_case_table()) {
    const Region& region = step_case.step().regions[0];
    for (const Contraction& contraction : region.contractions) {
      const Operand& rhs = region.operands[static_cast<size_t>(contraction.rhs)];
      const ValueRecord& value = step_case.graph.values[rhs.value];
      (is_gathered(rhs) ? chosen : dense).insert(value.format);
      if (value.kind == ValueKind::weight && !is_gathered(rhs) && rhs.view.back().axis != contraction.over.back()) {
        transposed.insert(value.format);
      }
      int64_t elements = 1;
      for (const AxisId axis : region.axes) elements *= step_case.extents[axis];
      if (elements == 1) one_by_one.insert(value.format);
    }
    if (region.axes.empty()) continue;
    for (const auto& [value, rows] : quantized_activations(step_case)) {
      quantized.insert(step_case.graph.values[value].format);
    }
  }
  expect_all(dense, "contracts");
  expect_all(chosen, "contracts chosen matrices of");
  expect_all(transposed, "contracts transposed weights of");
  expect_all(one_by_one, "has a single result of");
  EXPECT_EQ(quantized, std::set<Format>(std::begin(kBlockFormats), std::end(kBlockFormats)));
}

TEST(CaseTables, ReadEveryFormatInMaps) {
  std::set<Format> read, gathered;
  for (const std::vector<StepCase>& table : {map_cases(), gather_cases()}) {
    for (const StepCase& step_case : table) {
      for (const Operand& operand : step_case.step().regions[0].operands) {
        (is_gathered(operand) ? gathered : read).insert(step_case.graph.values[operand.value].format);
      }
    }
  }
  expect_all(read, "maps");
  expect_all(gathered, "gathers rows of");
}

// Output and embedding of a vocabulary. The results of some of its rows, the first and the last among them, are
// computed anew.
TEST(ExtremeShapes, Vocabulary) {
  constexpr int64_t kVocabulary = 151936, kWidth = 896;
  const StepCase step_case = linear_case(1, kVocabulary, kWidth, Format::q4_0);
  const Region& region = step_case.step().regions[0];
  const std::byte* weight = step_case.bytes[region.operands[1].value].data();
  const auto* x = reinterpret_cast<const float*>(step_case.initial[region.operands[0].value].data());
  const std::vector<float> activations(x, x + kWidth);
  const std::vector<double> quantized = reference::quantized(activations);
  for (const Precision precision : {Precision::exact, Precision::fast}) {
    const Outputs outputs = run_cpu(step_case, precision, 2);
    ASSERT_EQ(outputs[0].size(), kVocabulary * sizeof(float));
    const auto* got = reinterpret_cast<const float*>(outputs[0].data());
    for (int64_t step = 0; step < kVocabulary + 97; step += 97) {
      const int64_t row = std::min(step, kVocabulary - 1);
      std::vector<float> w(kWidth);
      decode_row(Format::q4_0, weight + static_cast<size_t>(row) * row_bytes(Format::q4_0, kWidth), kWidth, w.data());
      double want = 0, absolute = 0;
      for (size_t i = 0; i < w.size(); ++i) {
        const double a = precision == Precision::fast ? quantized[i] : static_cast<double>(activations[i]);
        want += a * static_cast<double>(w[i]);
        absolute += std::fabs(a * static_cast<double>(w[i]));
      }
      ASSERT_NEAR(got[row], want, 1e-6 * absolute) << name(precision) << ", row " << row;
    }
  }
}

}  // namespace
}  // namespace weft

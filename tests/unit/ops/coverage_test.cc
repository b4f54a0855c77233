// The case tables are of use only while they reach everything: each storage format in each place that reads
// weights, and the extreme shapes.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "core/record/graph.h"
#include "ops/contract/cases.h"
#include "ops/cpu/kernel_table.h"
#include "ops/gather/cases.h"
#include "ops/harness/fast_reference.h"
#include "ops/harness/run_cpu.h"
#include "ops/map/cases.h"
#include "tests/vocabulary.h"

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
  std::set<Format> dense, chosen, transposed, one_by_one, rounded;
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
    for (const auto& [value, ranges] : rounded_products(step_case)) {
      rounded.insert(step_case.graph.values[value].format);
    }
  }
  expect_all(dense, "contracts");
  expect_all(chosen, "contracts chosen matrices of");
  expect_all(transposed, "contracts transposed weights of");
  expect_all(one_by_one, "has a single result of");
  std::set<Format> want(std::begin(kBlockFormats), std::end(kBlockFormats));
  for (const ProductKernel* kernel : kernel_table().products()) {
    if (!kernel->is_available() || kernel->serves(Precision::exact)) continue;
    want.insert(kernel->formats.begin(), kernel->formats.end());
  }
  EXPECT_EQ(rounded, want);
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

TEST(ExtremeShapes, Vocabulary) {
  const StepCase step_case = vocabulary_case(Format::q4_0);
  for (const Precision precision : {Precision::exact, Precision::fast}) {
    SCOPED_TRACE(name(precision));
    expect_vocabulary(step_case, run_cpu(step_case, precision, 2), precision == Precision::fast);
  }
}

}  // namespace
}  // namespace weft

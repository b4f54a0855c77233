// What a plan announces is what runs, as the kernels themselves tell.
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

#include "models/axes.h"
#include "ops/append/cases.h"
#include "ops/contract/cases.h"
#include "ops/cpu/kernel.h"
#include "ops/harness/run_cpu.h"

namespace weft {
namespace {

// The names that are announced for groups of `rows` rows.
std::set<std::string> announced(const std::vector<KernelRange>& kernels, int64_t rows) {
  std::set<std::string> names;
  for (const KernelRange& kernel : kernels) {
    if (kernel.first_rows <= rows && rows <= kernel.last_rows) names.insert(kernel.name);
  }
  return names;
}

TEST(KernelNames, WhatIsAnnouncedForSoManyRowsRuns) {
  for (const Format format : kFloatFormats) {
    for (const Precision precision : {Precision::exact, Precision::fast}) {
      for (const int64_t rows : {1, 2, 3, 8, 9, 23, 24, 64, 65, 300}) {
        const StepCase step_case = linear_case(rows, 40, 256, format);
        for (const int threads : {1, 2}) {
          std::set<std::string> ran;
          run_cpu(step_case, precision, threads, nullptr, &ran);
          EXPECT_EQ(ran, announced(cpu_kernels(step_case, precision), rows))
              << name(format) << ", " << name(precision) << ", " << rows << " rows";
        }
      }
    }
  }
}

// Each expert's rows are a group, of a size that the ids decide; and each group takes the kernel of its size.
TEST(KernelNames, ExpertsRunWhatIsAnnouncedForTheirRows) {
  constexpr int64_t kExperts = 4, kOut = 24, kIn = 256;
  for (const Format format : {Format::f16, Format::q8_0, Format::q4_k}) {
    for (const std::vector<int32_t>& counts :
         {std::vector<int32_t>{1, 0, 0, 0}, {1, 2, 0, 9}, {30, 1, 1, 0}, {2, 2, 2, 2}, {70, 24, 3, 1}}) {
      std::vector<int32_t> ids;
      for (size_t e = 0; e < counts.size(); ++e)
        ids.insert(ids.end(), static_cast<size_t>(counts[e]), static_cast<int32_t>(e));
      std::shuffle(ids.begin(), ids.end(), std::mt19937(1));
      CaseBuilder c(StepKind::contract, "experts");
      const AxisId pos = c.axis("pos", static_cast<int64_t>(ids.size())), expert = c.axis("expert", kExperts),
                   out = c.axis("out", kOut), in = c.axis("in", kIn);
      const ValueId id_value = c.ids("ids", {pos}, 0, kExperts);
      c.set(id_value, ids);
      const int lhs = c.lhs(c.operand(c.input("x", {pos, in})));
      const int chosen = c.operand(id_value);
      const int w =
          c.operand(c.weight("w", {expert, out, in}, format), {gathered(expert, chosen), whole(out), whole(in)});
      ScalarBuilder body;
      c.contraction(lhs, w, {in});
      c.body({pos, out}, body.finish(body.contraction(0)));
      const StepCase step_case = c.build();
      for (const Precision precision : {Precision::exact, Precision::fast}) {
        const std::vector<KernelRange> kernels = cpu_kernels(step_case, precision);
        std::set<std::string> want, ran;
        for (const int32_t rows : counts) {
          if (rows > 0) want.merge(announced(kernels, rows));
        }
        run_cpu(step_case, precision, 2, nullptr, &ran);
        EXPECT_EQ(ran, want) << name(format) << ", " << name(precision);
      }
    }
  }
}

// Regions of an append, and all other steps of the tables: nothing runs that is not announced.
TEST(KernelNames, NothingElseRuns) {
  for (const std::vector<StepCase>& table : {append_case_table(), contract_case_table()}) {
    for (const StepCase& step_case : table) {
      for (const Precision precision : {Precision::exact, Precision::fast}) {
        std::set<std::string> all, ran;
        for (const KernelRange& kernel : cpu_kernels(step_case, precision)) all.insert(kernel.name);
        run_cpu(step_case, precision, 2, nullptr, &ran);
        for (const std::string& name : ran) EXPECT_TRUE(all.contains(name)) << step_case.name() << " ran " << name;
      }
    }
  }
}

// For every number of rows there is one kernel, whatever the format, the layout and the precision.
TEST(KernelNames, RangesLeaveNoGaps) {
  for (const Format format : kFloatFormats) {
    const Layout preferred = preferred_layout(kernel_table(), format);
    for (const Layout& layout : {kStored, preferred}) {
      for (const Precision precision : {Precision::exact, Precision::fast}) {
        const auto picks = pick_products(kernel_table(), format, layout, precision);
        EXPECT_EQ(picks.back().last_rows, kAnyRows) << name(format);
        for (size_t i = 1; i < picks.size(); ++i) EXPECT_LT(picks[i - 1].last_rows, picks[i].last_rows);
      }
    }
  }
}

}  // namespace
}  // namespace weft

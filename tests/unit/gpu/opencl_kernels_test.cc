// The table of OpenCL kernels of contractions: each row against the double-precision reference, chosen or not; what is
// announced is what is launched.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/error.h"
#include "gpu/case_runner.h"
#include "gpu/lower/lower.h"
#include "ops/append/cases.h"
#include "ops/contract/cases.h"
#include "ops/harness/reference.h"
#include "tests/opencl_cases.h"

namespace weft {
namespace {

// Rows that tests add, which plans do not pick unless they are told to.
constexpr const char* kWrong = "test-forgets-a-block";
constexpr const char* kPairs = "test-pairs";

GpuDevice* device(int lanes) {
  static std::unique_ptr<GpuDevice> devices[65];
  auto& device = devices[lanes];
  if (device == nullptr) {
    try {
      GpuOptions options;
      options.lanes = lanes;
      options.optimize = false;
      options.disk_cache = false;
      device = GpuDevice::create(options);
    } catch (const Error&) {
      return nullptr;
    }
  }
  return device.get();
}

// As the device with so many lanes lowers a case, where `kernel` is to be used.
StepPlan lowered(const StepCase& step_case, int lanes, const OpenClKernel* kernel = nullptr) {
  const GpuShape shape{.lanes = lanes, .group = std::max(lanes, 8)};
  step_case.reset();
  const WeightLayouts layouts =
      choose_weight_layouts(step_case.graph, step_case.max_extents.data(),
                            [&](Format format) { return preferred_layout(shape, format, kernel); });
  return lower_step(step_case.graph, step_case.step(), step_case.max_extents.data(), shape,
                    {.layouts = &layouts, .forced = kernel});
}

// The names that are announced for groups of `rows` rows.
std::set<std::string> announced(const StepPlan& plan, int64_t rows) {
  std::set<std::string> names;
  for (const KernelRange& kernel : plan.kernels) {
    if (kernel.first_rows <= rows && rows <= kernel.last_rows) names.insert(kernel.name);
  }
  return names;
}

std::set<std::string> all_names(const StepPlan& plan) {
  std::set<std::string> names;
  for (const KernelRange& kernel : plan.kernels) names.insert(kernel.name);
  return names;
}

// What a kernel gets wrong, by case; "" for each case that it gets right. `served`: how many of them it ran in.
std::vector<std::string> differences(const std::vector<StepCase>& cases, int lanes, const std::string& kernel,
                                     size_t& served) {
  std::vector<std::set<std::string>> ran;
  const std::vector<Outputs> got = run_gpu(*device(lanes), cases, true, kernel, &ran);
  std::vector<std::string> texts;
  for (size_t i = 0; i < cases.size(); ++i) {
    const Tolerance tolerance{.magnitude = absolute_sum(cases[i])};
    texts.push_back(compare(cases[i], got[i], run_reference(cases[i]), tolerance));
    if (!texts.back().empty()) texts.back() = cases[i].name() + ": " + texts.back();
    served += ran[i].contains(kernel);
  }
  return texts;
}

class OpenClKernels : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (device(GetParam()) == nullptr) GTEST_SKIP() << "no OpenCL device on this machine";
  }
};

// Over the whole table of cases, those aside that run the same without being told to: they are tested as such
// (OpenClSteps.ContractTable).
TEST_P(OpenClKernels, EachRowOfTheTableAgreesWithReference) {
  const int lanes = GetParam();
  for (const OpenClKernel* row : opencl_kernel_table().all()) {
    if (row->name == kWrong || row->name == kPairs) continue;
    std::vector<StepCase> cases;
    size_t served = 0;
    for (StepCase& step_case : contract_case_table()) {
      const StepPlan forced = lowered(step_case, lanes, row);
      if (!all_names(forced).contains(row->name)) continue;
      if (forced.source() == lowered(step_case, lanes).source()) ++served;
      else cases.push_back(std::move(step_case));
    }
    for (const std::string& difference : differences(cases, lanes, row->name, served)) {
      EXPECT_EQ(difference, "") << row->name;
    }
    EXPECT_GT(served, 30u) << row->name;
  }
}

// A row that forgets the last block of each output.
TEST_P(OpenClKernels, AWrongRowIsFound) {
  const int lanes = GetParam();
  if (opencl_kernel_table().find(kWrong) == nullptr) {
    OpenClKernel wrong = *opencl_kernel_table().find("cl-x16");
    wrong.name = kWrong;
    wrong.preference = -1;
    const std::string right = "block < depth / 32;";
    const size_t at = wrong.text.find(right);
    ASSERT_NE(at, std::string::npos);
    wrong.text.replace(at, right.size(), "block < depth / 32 - 1;");
    opencl_kernel_table().add(wrong);
  }
  size_t served = 0;
  const auto found = differences({linear_case(3, 35, 96, Format::q8_0)}, lanes, kWrong, served);
  EXPECT_EQ(served, 1u);
  EXPECT_NE(found.front(), "");
}

TEST_P(OpenClKernels, WhatIsAnnouncedForSoManyRowsIsLaunched) {
  const int lanes = GetParam();
  std::vector<StepCase> cases;
  std::vector<int64_t> all_rows;
  for (const Format format : {Format::f32, Format::q8_0, Format::q4_k}) {
    for (const int64_t rows : {1, 2, 5, 70}) {
      cases.push_back(linear_case(rows, 40, 256, format));
      // Each row chooses an expert, so none shares its right-hand rows with another.
      for (const bool summed : {false, true}) cases.push_back(contract_cases::experts(rows, 3, 4, format, summed));
      all_rows.insert(all_rows.end(), {rows, 1, 1});
    }
  }
  std::vector<std::set<std::string>> ran;
  run_gpu(*device(lanes), cases, true, {}, &ran);
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(ran[i], announced(lowered(cases[i], lanes), all_rows[i])) << cases[i].name();
  }
  const auto ran_in = [&](const std::string& name) {
    const auto at = std::ranges::find(cases, name, [](const StepCase& step_case) { return step_case.name(); });
    return at == cases.end() ? std::set<std::string>() : ran[static_cast<size_t>(at - cases.begin())];
  };
  EXPECT_TRUE(ran_in("linear Q8_0 1x40x256").contains(lanes > 1 ? "cl-x16" : "cl-dot"));
  EXPECT_TRUE(ran_in("linear Q8_0 70x40x256").contains(lanes > 1 ? "cl-x16-4" : "cl-dot-4"));
  EXPECT_TRUE(ran_in("experts Q8_0 70x3 of 4").contains(lanes > 1 ? "cl-x16" : "cl-dot"));
}

TEST_P(OpenClKernels, NothingElseIsLaunched) {
  const int lanes = GetParam();
  for (const std::vector<StepCase>& cases : {append_case_table(), opencl_append_cases(), opencl_contract_cases()}) {
    std::vector<std::set<std::string>> ran;
    run_gpu(*device(lanes), cases, true, {}, &ran);
    for (size_t i = 0; i < cases.size(); ++i) {
      const std::set<std::string> all = all_names(lowered(cases[i], lanes));
      EXPECT_TRUE(std::includes(all.begin(), all.end(), ran[i].begin(), ran[i].end())) << cases[i].name();
      EXPECT_EQ(all.contains("positions"), cases[i].step().kind == StepKind::append);
    }
  }
}

// A step of several contractions has one kernel where their rows allow that, and else one for each and one for what
// follows.
TEST_P(OpenClKernels, ContractionsShareAKernelWhereTheirRowsDo) {
  const int lanes = GetParam();
  const StepCase same = contract_cases::gated(5, 50, 64, Format::q8_0, Format::q8_0);
  EXPECT_EQ(lowered(same, lanes).stages.size(), 1u);
  const StepCase mixed = contract_cases::gated(5, 50, 64, Format::q8_0, Format::f16);
  EXPECT_EQ(lowered(mixed, lanes).stages.size(), lanes > 1 ? 3u : 1u);

  // Tiles of two rows for any number of them, and for one format alone.
  if (opencl_kernel_table().find(kPairs) == nullptr) {
    OpenClKernel pairs = *opencl_kernel_table().find("cl-dot");
    pairs.name = kPairs;
    pairs.preference = -1;
    pairs.formats = {Format::f16};
    pairs.activations.tile = 2;
    opencl_kernel_table().add(pairs);
  }
  const StepCase floats = contract_cases::gated(5, 50, 64, Format::f16, Format::bf16);
  EXPECT_EQ(lowered(floats, lanes).stages.size(), 1u);
  EXPECT_EQ(lowered(floats, lanes, opencl_kernel_table().find(kPairs)).stages.size(), 3u);
  for (const int64_t rows : {1, 5}) {
    size_t served = 0;
    const StepCase step_case = contract_cases::gated(rows, 50, 64, Format::f16, Format::bf16);
    EXPECT_EQ(differences({step_case}, lanes, kPairs, served).front(), "");
    EXPECT_EQ(served, 1u);
  }
}

INSTANTIATE_TEST_SUITE_P(Lanes, OpenClKernels, testing::Values(1, 64));

TEST(OpenClKernelTable, RefusesRowsThatCannotBe) {
  const auto refused = [](auto change) {
    OpenClKernel row = *opencl_kernel_table().find("cl-dot");
    row.name = "test-refused";
    change(row);
    try {
      opencl_kernel_table().add(row);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("added");
  };
  EXPECT_NE(refused([](OpenClKernel& row) { row.name = "cl-dot"; }).find("has one of that name"), std::string::npos);
  EXPECT_NE(refused([](OpenClKernel& row) { row.text.clear(); }).find("has no text"), std::string::npos);
  EXPECT_NE(refused([](OpenClKernel& row) { row.columns = 3; }).find("power of two"), std::string::npos);
  EXPECT_NE(refused([](OpenClKernel& row) { row.formats = {Format::i32}; }).find("no floats"), std::string::npos);
  EXPECT_NE(refused([](OpenClKernel& row) { row.last_rows = 0; }).find("no number of rows"), std::string::npos);
  EXPECT_NE(refused([](OpenClKernel& row) { row.activations.element = ActivationElement::int8; }).find("int8"),
            std::string::npos);
}

// For every format and layout there is a kernel for any number of rows, whatever the operands look like.
TEST(OpenClKernelTable, RangesLeaveNoGaps) {
  for (const int lanes : {1, 64}) {
    const GpuShape shape{.lanes = lanes};
    for (const Format format : kFloatFormats) {
      for (const Layout& layout : {kStored, preferred_layout(shape, format)}) {
        for (const bool is_contiguous : {false, true}) {
          const auto picks = pick_opencl_kernels(shape, format, layout, is_contiguous);
          EXPECT_EQ(picks.back().last_rows, kAnyRows) << name(format);
          for (size_t i = 1; i < picks.size(); ++i) EXPECT_LT(picks[i - 1].last_rows, picks[i].last_rows);
        }
      }
    }
    EXPECT_EQ(preferred_layout(shape, Format::q8_0), lanes > 1 ? kRows16 : kStored);
  }
}

}  // namespace
}  // namespace weft

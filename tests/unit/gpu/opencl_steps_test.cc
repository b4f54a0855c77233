// Every kind of step on the OpenCL device against the double-precision reference, with one work-item per sum and
// with many.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "gpu/case_runner.h"
#include "ops/append/cases.h"
#include "ops/attention/cases.h"
#include "ops/contract/cases.h"
#include "ops/gather/cases.h"
#include "ops/harness/reference.h"
#include "ops/map/cases.h"
#include "ops/reduce/cases.h"
#include "ops/rope/cases.h"
#include "ops/scan/cases.h"
#include "ops/select/cases.h"
#include "tests/opencl_cases.h"
#include "tests/vocabulary.h"

namespace weft {
namespace {

class OpenClSteps : public testing::TestWithParam<int> {
 protected:
  static GpuDevice* device(int lanes) {
    static std::unique_ptr<GpuDevice> devices[257];
    auto& device = devices[lanes];
    if (device == nullptr) {
      try {
        GpuOptions options;
        options.lanes = lanes;
        options.optimize = lanes == 1;  // as on the CPU it runs on; the other way builds sooner
        options.disk_cache = false;
        device = GpuDevice::create(options);
      } catch (const Error&) {
        return nullptr;
      }
    }
    return device.get();
  }

  void check(const std::vector<StepCase>& cases) {
    GpuDevice* gpu = device(GetParam());
    if (gpu == nullptr) GTEST_SKIP() << "no OpenCL device on this machine";
    const auto start = std::chrono::steady_clock::now();
    const std::vector<Outputs> got = run_gpu(*gpu, cases);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::printf("%zu cases in %.2f s on %s\n", cases.size(), seconds.count(), gpu->info().name.c_str());
    for (size_t i = 0; i < cases.size(); ++i) {
      Tolerance tolerance;
      tolerance.magnitude = absolute_sum(cases[i]);
      EXPECT_EQ(compare(cases[i], got[i], run_reference(cases[i]), tolerance), "")
          << to_string(cases[i].graph, cases[i].step());
    }
  }
};

TEST_P(OpenClSteps, Map) { check(opencl_map_cases()); }
TEST_P(OpenClSteps, Reduce) { check(opencl_reduce_cases()); }
TEST_P(OpenClSteps, Contract) { check(opencl_contract_cases()); }
TEST_P(OpenClSteps, Attention) { check(opencl_attention_cases()); }
TEST_P(OpenClSteps, Append) { check(opencl_append_cases()); }

// The tables that the CPU kernels are tested with.
TEST_P(OpenClSteps, MapTable) { check(map_cases()); }
TEST_P(OpenClSteps, GatherTable) { check(gather_cases()); }
TEST_P(OpenClSteps, NormTable) { check(norm_cases()); }
TEST_P(OpenClSteps, ReductionTable) { check(reduction_cases()); }
TEST_P(OpenClSteps, RotationTable) { check(rotation_cases()); }
TEST_P(OpenClSteps, SelectionTable) { check(selection_cases()); }
TEST_P(OpenClSteps, ScanTable) { check(scan_cases()); }
TEST_P(OpenClSteps, ConvolutionTable) { check(convolution_cases()); }
TEST_P(OpenClSteps, ContractTable) { check(contract_case_table()); }
TEST_P(OpenClSteps, AttentionTable) { check(attention_case_table()); }
TEST_P(OpenClSteps, AppendTable) { check(append_case_table()); }

// In one format: on a CPU, it takes seconds.
TEST_P(OpenClSteps, Vocabulary) {
  GpuDevice* gpu = device(GetParam());
  if (gpu == nullptr) GTEST_SKIP() << "no OpenCL device on this machine";
  const StepCase step_case = vocabulary_case(Format::q4_0);
  expect_vocabulary(step_case, run_gpu(*gpu, step_case), false);
}

TEST_P(OpenClSteps, ValuesThatCutABlockAreRefused) {
  GpuDevice* gpu = device(GetParam());
  if (gpu == nullptr) GTEST_SKIP() << "no OpenCL device on this machine";
  try {
    run_gpu(*gpu, linear_case(3, 3, 40, Format::q8_0));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("'w' has 120 elements, which cut a block of Q8_0"), std::string::npos)
        << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(Lanes, OpenClSteps, testing::Values(1, 64));

}  // namespace
}  // namespace weft

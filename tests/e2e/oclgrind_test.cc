// Kernels of every kind in Oclgrind, which simulates a device and reports each access outside of a buffer, each
// data race between work-items, and each barrier that not all of them reach. Its log must be empty. Skipped where
// Oclgrind is not installed.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gpu/case_runner.h"
#include "gpu/lower/lower.h"
#include "ops/contract/cases.h"
#include "ops/harness/reference.h"
#include "ops/rope/cases.h"
#include "ops/select/cases.h"
#include "tests/opencl_cases.h"

namespace weft {
namespace {

constexpr const char* kInside = "WEFT_INSIDE_OCLGRIND";

void check(GpuDevice& device, const std::vector<StepCase>& cases, const char* kernel = "") {
  const std::vector<Outputs> got = run_gpu(device, cases, false, kernel);
  for (size_t i = 0; i < cases.size(); ++i) {
    Tolerance tolerance;
    tolerance.magnitude = absolute_sum(cases[i]);
    EXPECT_EQ(compare(cases[i], got[i], run_reference(cases[i]), tolerance), "");
  }
}

// Of an op's table, the smallest case of each program that is rendered, empty ones aside: Oclgrind takes a thousand
// times as long as a CPU.
std::vector<StepCase> smallest_of_each(const std::vector<StepCase>& cases, int lanes) {
  std::map<std::string, std::pair<int64_t, const StepCase*>> smallest;  // by source: elements, case
  for (const StepCase& step_case : cases) {
    int64_t elements = 0;
    bool empty = false;
    for (ValueId value = 0; value < step_case.graph.values.size(); ++value) {
      elements += step_case.element_count(value);
      empty = empty || step_case.element_count(value) == 0;
    }
    if (empty) continue;
    const StepPlan plan = lower_step(step_case.graph, step_case.step(), step_case.max_extents.data(),
                                     {.lanes = lanes, .group = std::max(lanes, 8)});
    const auto [at, is_new] = smallest.try_emplace(plan.source(), elements, &step_case);
    if (!is_new && elements < at->second.first) at->second = {elements, &step_case};
  }
  std::vector<StepCase> result;
  for (const auto& [source, found] : smallest) result.push_back(*found.second);
  return result;
}

// Run by the tests below, in Oclgrind.
TEST(InsideOclgrind, Steps) {
  const char* lanes = std::getenv(kInside);
  if (lanes == nullptr) GTEST_SKIP() << "run by the tests of Oclgrind";
  GpuOptions options;
  options.lanes = std::atoi(lanes);
  options.disk_cache = false;
  const auto device = GpuDevice::create(options);
  ASSERT_NE(device->info().platform.find("Oclgrind"), std::string::npos) << device->info().platform;
  check(*device, opencl_map_cases());
  check(*device, opencl_reduce_cases());
  check(*device, smallest_of_each(rotation_cases(), options.lanes));
  check(*device, smallest_of_each(selection_cases(), options.lanes));
  check(*device, opencl_contract_cases());
  // Kernels of contractions that a device like this does not prefer.
  const std::vector<StepCase> packed = {linear_case(1, 35, 96, Format::q8_0), linear_case(6, 17, 64, Format::q8_0),
                                        contract_cases::experts(3, 2, 3, Format::q8_0, false)};
  for (const OpenClKernel* kernel : opencl_kernel_table().all()) check(*device, packed, kernel->name.c_str());
  check(*device, opencl_attention_cases());
  check(*device, opencl_append_cases());
}

void run_inside(int lanes) {
  if (std::system("oclgrind --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "Oclgrind is not installed";
  namespace fs = std::filesystem;
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  const fs::path log = fs::path(testing::TempDir()) / ("weft_oclgrind_" + std::to_string(getpid()) + ".log");
  const std::string out = log.string() + ".out";
  const std::string command = std::string(kInside) + "=" + std::to_string(lanes) +
                              " oclgrind --data-races --build-options -cl-opt-disable --log '" + log.string() + "' '" +
                              self + "' --gtest_filter=InsideOclgrind.Steps >'" + out + "' 2>&1";
  const int status = std::system(command.c_str());
  const auto content = [](const fs::path& path) {
    std::ifstream in(path);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  EXPECT_EQ(status, 0) << content(out);
  EXPECT_EQ(content(log).substr(0, 4000), "");
  fs::remove(log);
  fs::remove(out);
}

TEST(Oclgrind, OneLane) { run_inside(1); }
TEST(Oclgrind, ManyLanes) { run_inside(32); }

}  // namespace
}  // namespace weft

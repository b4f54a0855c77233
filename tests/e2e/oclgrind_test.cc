// Kernels of every kind in Oclgrind, which simulates a device and reports each access outside of a buffer, each
// data race between work-items, and each barrier that not all of them reach. Its log must be empty. Skipped where
// Oclgrind is not installed.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "gpu/case_runner.h"
#include "ops/harness/reference.h"
#include "tests/opencl_cases.h"

namespace weft {
namespace {

constexpr const char* kInside = "WEFT_INSIDE_OCLGRIND";

void check(GpuDevice& device, const std::vector<StepCase>& cases) {
  const std::vector<Outputs> got = run_gpu(device, cases, false);
  for (size_t i = 0; i < cases.size(); ++i) {
    Tolerance tolerance;
    tolerance.magnitude = absolute_sum(cases[i]);
    EXPECT_EQ(compare(cases[i], got[i], run_reference(cases[i]), tolerance), "");
  }
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
  check(*device, opencl_contract_cases());
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
                              " oclgrind --data-races --build-options -cl-opt-disable --log '" + log.string() +
                              "' '" + self + "' --gtest_filter=InsideOclgrind.Steps >'" + out + "' 2>&1";
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
TEST(Oclgrind, ManyLanes) { run_inside(16); }

}  // namespace
}  // namespace weft

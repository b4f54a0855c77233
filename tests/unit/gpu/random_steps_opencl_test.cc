// Generated steps on the OpenCL device against the reference: 1000 in all. A failing one is printed as code to
// paste into a test. WEFT_SEED=<n> runs seed n only.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/record/verify.h"
#include "gpu/case_runner.h"
#include "ops/harness/random_steps.h"
#include "ops/harness/reference.h"

namespace weft {
namespace {

constexpr int kMaxFailures = 5;
constexpr uint64_t kBatch = 25;  // steps whose programs are built as one

std::unique_ptr<GpuDevice> make_device(int lanes, bool optimize) {
  try {
    GpuOptions options;
    options.lanes = lanes;
    options.optimize = optimize;
    options.disk_cache = false;
    return GpuDevice::create(options);
  } catch (const Error&) {
    return nullptr;
  }
}

// What went wrong with a batch, one text per failing seed.
std::vector<std::string> failures_of(GpuDevice& device, uint64_t first, uint64_t last) {
  std::vector<RandomStep> steps;
  std::vector<StepCase> cases;
  for (uint64_t seed = first; seed <= last; ++seed) {
    steps.push_back(random_step(seed));
    cases.push_back(steps.back().step_case);
    verify(cases.back().graph);
  }
  std::vector<std::string> failures;
  std::vector<Outputs> got;
  try {
    got = run_gpu(device, cases);
  } catch (const Error& error) {
    if (first == last) return {"seed " + std::to_string(first) + ": " + error.what() + "\n" + steps[0].code};
    for (uint64_t seed = first; seed <= last; ++seed) {
      for (std::string& failure : failures_of(device, seed, seed)) failures.push_back(std::move(failure));
    }
    if (failures.empty()) failures.push_back("only as one program: " + std::string(error.what()));
    return failures;
  }
  for (size_t i = 0; i < cases.size(); ++i) {
    const std::string difference = compare(cases[i], got[i], run_reference(cases[i]), steps[i].tolerance);
    if (difference.empty()) continue;
    failures.push_back("seed " + std::to_string(first + i) + ": " + difference + "\n" + steps[i].code);
  }
  return failures;
}

void check(uint64_t first, uint64_t last, int lanes, bool optimize) {
  const std::unique_ptr<GpuDevice> device = make_device(lanes, optimize);
  if (device == nullptr) GTEST_SKIP() << "no OpenCL device on this machine";
  if (const char* seed = std::getenv("WEFT_SEED")) first = last = std::strtoull(seed, nullptr, 10);
  const auto start = std::chrono::steady_clock::now();
  int count = 0;
  for (uint64_t seed = first; seed <= last && count < kMaxFailures; seed += kBatch) {
    for (const std::string& failure : failures_of(*device, seed, std::min(last, seed + kBatch - 1))) {
      ++count;
      ADD_FAILURE() << failure;
    }
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("%.0f ms per step\n", seconds.count() * 1000 / static_cast<double>(last - first + 1));
}

// In pieces, so that they can run side by side.
TEST(RandomStepsOpenCl, Seeds1To200) { check(1, 200, 1, false); }
TEST(RandomStepsOpenCl, Seeds201To400) { check(201, 400, 1, false); }
TEST(RandomStepsOpenCl, Seeds401To600) { check(401, 600, 1, false); }
TEST(RandomStepsOpenCl, Seeds601To800) { check(601, 800, 1, false); }
TEST(RandomStepsOpenCl, Seeds801To1000) { check(801, 1000, 1, false); }

// As programs are built outside of tests.
TEST(RandomStepsOpenCl, Optimized) { check(1, 50, 0, true); }
// As on a GPU.
TEST(RandomStepsOpenCl, ManyLanes) { check(1, 50, 64, false); }

}  // namespace
}  // namespace weft

// The OpenCL C that is rendered, checked by a strict compiler: version 1.2 of the language, no extension, no
// warning. Skipped without clang-19.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "gpu/lower/lower.h"
#include "ops/attention/cases.h"
#include "ops/contract/cases.h"
#include "ops/harness/random_steps.h"
#include "ops/map/cases.h"
#include "ops/reduce/cases.h"
#include "ops/rope/cases.h"
#include "ops/select/cases.h"
#include "tests/opencl_cases.h"

namespace weft {
namespace {

// Global names of a unit contain "@": the unit's number makes them its own.
std::string numbered(std::string text, size_t number) {
  for (size_t at; (at = text.find('@')) != std::string::npos;) text.replace(at, 1, std::to_string(number));
  return text;
}

class Units {
 public:
  explicit Units(const GpuShape& shape) : shape_(shape), source_(program_head(shape)) {}

  // `kernel`: of contractions, to be used where it can serve.
  void add(const StepCase& step_case, const OpenClKernel* kernel = nullptr) {
    step_case.reset();
    const int64_t* extents = step_case.max_extents.data();
    const WeightLayouts layouts = choose_weight_layouts(
        step_case.graph, extents, [&](Format format) { return preferred_layout(shape_, format, kernel); });
    const StepPlan plan =
        lower_step(step_case.graph, step_case.step(), extents, shape_, {.layouts = &layouts, .forced = kernel});
    if (seen_.insert(plan.source()).second) source_ += numbered(plan.source(), seen_.size());
  }
  void add(const std::vector<StepCase>& cases, const OpenClKernel* kernel = nullptr) {
    for (const StepCase& step_case : cases) add(step_case, kernel);
  }
  const std::string& source() const { return source_; }
  size_t count() const { return seen_.size(); }

 private:
  GpuShape shape_;
  std::string source_;
  std::set<std::string> seen_;
};

void lint(const GpuShape& shape) {
  if (std::system("clang-19 --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "no clang-19 on this machine";
  Units units(shape);
  units.add(opencl_map_cases());
  units.add(opencl_reduce_cases());
  units.add(opencl_contract_cases());
  units.add(opencl_attention_cases());
  units.add(opencl_append_cases());
  units.add(map_cases());
  units.add(norm_cases());
  units.add(rotation_cases());
  units.add(selection_cases());
  units.add(contract_case_table());
  for (const OpenClKernel* kernel : opencl_kernel_table().all()) units.add(contract_case_table(), kernel);
  units.add(attention_case_table());
  for (uint64_t seed = 1; seed <= 100; ++seed) units.add(random_step(seed).step_case);
  EXPECT_GT(units.count(), 150u);
  // Equal structures have one text.
  const size_t count = units.count();
  units.add(opencl_contract_cases());
  EXPECT_EQ(units.count(), count);

  namespace fs = std::filesystem;
  const fs::path file = fs::path(testing::TempDir()) / ("weft_lint_" + std::to_string(getpid()) + ".cl");
  const fs::path log = file.string() + ".log";
  std::ofstream(file) << units.source();
  // What generated code has without harm: functions that a program does not need, results that nothing reads, and
  // comparisons of a value with itself.
  const std::string command =
      "clang-19 -x cl -cl-std=CL1.2 -target spir64 -Xclang -cl-ext=-all -Xclang -finclude-default-header "
      "-fsyntax-only "
      "-Wall -Wextra -Werror -Wno-unused-function -Wno-unused-variable -Wno-unused-parameter "
      "-Wno-tautological-compare -ferror-limit=5 '" +
      file.string() + "' >'" + log.string() + "' 2>&1";
  const int status = std::system(command.c_str());
  std::ifstream in(log);
  EXPECT_EQ(status, 0) << std::string(std::istreambuf_iterator<char>(in), {});
  fs::remove(file);
  fs::remove(log);
}

TEST(OpenClLint, OneLane) { lint({.lanes = 1, .group = 8}); }
TEST(OpenClLint, ManyLanes) { lint({.lanes = 64, .group = 64}); }
// Arguments that do not fit a kernel's list lie in memory.
TEST(OpenClLint, ArgumentsInMemory) { lint({.lanes = 16, .group = 16, .max_argument_bytes = 0}); }

}  // namespace
}  // namespace weft

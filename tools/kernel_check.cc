#include "tools/kernel_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <set>

#include "core/error.h"
#include "gpu/case_runner.h"
#include "ops/contract/cases.h"
#include "ops/harness/fast_reference.h"
#include "ops/harness/reference.h"
#include "ops/harness/run_cpu.h"
#include "ops/map/cases.h"
#include "ops/plugin/cases.h"
#include "ops/plugin/rows_of_step.h"
#include "ops/reduce/cases.h"

namespace weft::tools {
namespace {

// What rounding may change. Sums of a row in any order; what a rounded activation changes, the reference knows.
Tolerance tolerance_of(const PluginKernel& kernel, const StepCase& step_case, bool rounds) {
  if (kernel.product_row() != nullptr) {
    const bool has_norm = !step_case.step().regions[0].lhs[0].reductions.empty();
    return {.absolute = rounds && has_norm ? 1e-3 : 2e-6, .magnitude = absolute_sum(step_case)};
  }
  int64_t width = 1;
  for (const int64_t extent : step_case.extents) width = std::max(width, extent);
  return {.absolute = 2e-6 * std::sqrt(static_cast<double>(width)), .relative = 1e-4};
}

bool serves(const PluginKernel& kernel, const StepCase& step_case, const CpuRunOptions& options) {
  if (kernel.formula != nullptr && step_case.step().kind != kernel.formula->kind()) return false;
  const auto kernels = CpuCaseRunner(step_case, options).kernels();
  return std::ranges::any_of(kernels, [&](const KernelRange& range) { return range.name == kernel.name; });
}

// Whether an OpenCL kernel could run in it.
bool may_serve(const PluginKernel& kernel, const StepCase& step_case) {
  if (kernel.formula != nullptr) return find_rows(step_case.graph, step_case.step(), *kernel.formula).has_value();
  const Format format = kernel.product_row()->formats.front();
  return std::ranges::any_of(step_case.step().regions, [&](const Region& region) {
    return std::ranges::any_of(region.contractions, [&](const Contraction& contraction) {
      const Operand& right = region.operands[static_cast<size_t>(contraction.rhs)];
      return step_case.graph.values[right.value].format == format;
    });
  });
}

// Of weights that are no numbers, sums in another order may be another infinity or no number; but not finite.
constexpr const char* kNonfiniteWeights = "nonfinite weight";
std::string compare_finiteness(const std::vector<std::byte>& got, const std::vector<std::byte>& want) {
  for (size_t i = 0; i < want.size() / sizeof(float); ++i) {
    float a = 0, b = 0;
    std::memcpy(&a, got.data() + i * sizeof a, sizeof a);
    std::memcpy(&b, want.data() + i * sizeof b, sizeof b);
    if (std::isfinite(a) != std::isfinite(b)) {
      return "element " + std::to_string(i) + " is " + std::to_string(a) + ", expected " + std::to_string(b);
    }
  }
  return "";
}

}  // namespace

std::vector<StepCase> cases_of(const PluginKernel& kernel) {
  if (kernel.product_row() != nullptr) return contract_case_table();
  std::vector<StepCase> cases = formula_cases(*kernel.formula, kernel.widths);
  if (!kernel.formula->op.empty()) return cases;
  for (std::vector<StepCase> table : {map_cases(), norm_cases(), reduction_cases()}) {
    std::ranges::move(table, std::back_inserter(cases));
  }
  return cases;
}

CheckResult check_kernel(const PluginKernel& kernel, std::span<const StepCase> cases, int threads, size_t most_wrong) {
  CheckResult result;
  CpuRunOptions options{.forced = kernel.product, .forced_step = kernel.step};
  const bool rounds = kernel.product != nullptr && !kernel.product->serves(Precision::exact);
  if (rounds) options.precision = Precision::fast;
  for (const StepCase& step_case : cases) {
    if (!serves(kernel, step_case, options)) continue;
    const Outputs want = rounds ? run_fast_reference(step_case, kernel.product) : run_reference(step_case);
    const Tolerance tolerance = tolerance_of(kernel, step_case, rounds);
    bool ran = false;
    for (options.threads = 1; options.threads <= threads; ++options.threads) {
      std::set<std::string> names;
      const Outputs got = run_cpu(step_case, options, &names);
      ran = ran || names.contains(kernel.name);
      const std::string what = step_case.name().starts_with(kNonfiniteWeights)
                                   ? compare_finiteness(got[0], want[0])
                                   : compare(step_case, got, want, tolerance);
      if (what.empty()) continue;
      result.wrong.push_back({step_case.name(), options.threads, what});
      break;
    }
    options.threads = 1;
    result.cases += ran;
    if (result.wrong.size() >= most_wrong) break;
  }
  return result;
}

CheckResult check_kernel(const PluginKernel& kernel, std::span<const StepCase> all, GpuDevice& device,
                         size_t most_wrong) {
  std::vector<StepCase> cases(all.begin(), all.end());
  std::erase_if(cases, [&](const StepCase& of) { return !may_serve(kernel, of); });
  build_programs(device, cases, kernel.name);
  CheckResult result;
  for (const StepCase& step_case : cases) {
    std::string what;
    try {
      std::vector<std::set<std::string>> ran;
      const Outputs got = std::move(run_gpu(device, {&step_case, 1}, true, kernel.name, &ran).front());
      if (!ran.front().empty() && !ran.front().contains(kernel.name)) continue;
      const Outputs want = run_reference(step_case);
      what = step_case.name().starts_with(kNonfiniteWeights)
                 ? compare_finiteness(got[0], want[0])
                 : compare(step_case, got, want, tolerance_of(kernel, step_case, false));
    } catch (const Error& error) {
      what = error.what();
    }
    ++result.cases;
    if (!what.empty()) result.wrong.push_back({step_case.name(), 1, what});
    if (result.wrong.size() >= most_wrong) break;
  }
  return result;
}

}  // namespace weft::tools

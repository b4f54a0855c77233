// Runs a case on the CPU kernels, without a plan; weights are packed, and threads meet, as plans have it.
#pragma once

#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "ops/cpu/kernel_table.h"
#include "ops/harness/case.h"
#include "ops/step.h"

namespace weft {

// How a case is run.
struct CpuRunOptions {
  Precision precision = Precision::exact;
  int threads = 1;
  const ProductKernel* forced = nullptr;    // used where it can serve
  const StepKernel* forced_step = nullptr;  // the same
};

// A case made ready to run on the kernel that select_cpu_kernel gives, once or often.
class CpuCaseRunner {
 public:
  CpuCaseRunner(const StepCase& step_case, const CpuRunOptions& options);
  ~CpuCaseRunner();
  // What the kernel announces.
  std::vector<KernelRange> kernels() const;
  void run();
  // So often, these by turns, in one parallel region, as the steps of a plan are. All for as many threads.
  static void run(std::span<const std::unique_ptr<CpuCaseRunner>> runners, int64_t times);
  // The names of the kernels that did the work so far.
  std::set<std::string> ran() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// reset(), a run, outputs(). `ran`: gets the names of the kernels that did the work.
Outputs run_cpu(const StepCase& step_case, const CpuRunOptions& options, std::set<std::string>* ran = nullptr);
Outputs run_cpu(const StepCase& step_case, Precision precision = Precision::exact, int threads = 1,
                const ProductKernel* forced = nullptr, std::set<std::string>* ran = nullptr);

// What that kernel announces.
std::vector<KernelRange> cpu_kernels(const StepCase& step_case, Precision precision,
                                     const ProductKernel* forced = nullptr);

}  // namespace weft

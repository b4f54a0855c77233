// Runs a case on the CPU kernels, without a plan; weights are packed, and threads meet, as plans have it.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "ops/cpu/kernel_table.h"
#include "ops/harness/case.h"
#include "ops/step.h"

namespace weft {

// reset(), the kernel that select_cpu_kernel gives, outputs(). `forced`: used where it can serve. `ran`: gets the names
// of the kernels that did the work.
Outputs run_cpu(const StepCase& step_case, Precision precision = Precision::exact, int threads = 1,
                const ProductKernel* forced = nullptr, std::set<std::string>* ran = nullptr);

// What that kernel announces.
std::vector<KernelRange> cpu_kernels(const StepCase& step_case, Precision precision,
                                     const ProductKernel* forced = nullptr);

}  // namespace weft

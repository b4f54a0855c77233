// Runs a case on the CPU kernels, without a plan.
#pragma once

#include <string>

#include "ops/harness/case.h"
#include "ops/step.h"

namespace weft {

// reset(), the kernel that select_cpu_kernel gives, outputs(). Throws Error where there is no kernel.
Outputs run_cpu(const StepCase& step_case, Precision precision = Precision::exact, int threads = 1);

// What that kernel is called.
std::string cpu_kernel_name(const StepCase& step_case, Precision precision);

}  // namespace weft

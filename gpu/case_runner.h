// Runs a case on a device, as ops/run_cpu.h does on the CPU: for tests, benchmarks and replay.
#pragma once

#include "gpu/device.h"
#include "ops/case.h"

namespace weft {

// reset(), the step on `device`, its outputs. Values lie at odd places of one buffer each, so that a kernel that
// forgets an offset is found. Throws weft::Error.
Outputs run_gpu(GpuDevice& device, const StepCase& step_case);

// The same for many cases, whose programs are built as one.
std::vector<Outputs> run_gpu(GpuDevice& device, std::span<const StepCase> cases);

}  // namespace weft

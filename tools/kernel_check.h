// A kernel of a file over the cases of what it computes.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "gpu/device.h"
#include "ops/harness/case.h"
#include "ops/plugin/plugin.h"

namespace weft::tools {

// A case in which a kernel is wrong.
struct WrongCase {
  std::string name;
  int threads = 1;   // of the CPU
  std::string what;  // the case and the largest difference
};
struct CheckResult {
  size_t cases = 0;  // that the kernel ran in
  std::vector<WrongCase> wrong;
};

// All cases that the kernel could serve: of a formula, its own and those of the maps' and norms' tables that it is
// found in; of products, the table of contractions.
std::vector<StepCase> cases_of(const PluginKernel& kernel);

// Runs the cases that the kernel serves with 1 to `threads` threads, against the reference, and stops behind
// `most_wrong` wrong ones.
CheckResult check_kernel(const PluginKernel& kernel, std::span<const StepCase> cases, int threads, size_t most_wrong);

// The same of a kernel of OpenCL devices. Throws Error where it does not build.
CheckResult check_kernel(const PluginKernel& kernel, std::span<const StepCase> cases, GpuDevice& device,
                         size_t most_wrong);

}  // namespace weft::tools

// A kernel of a file beside the built-in one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gpu/device.h"
#include "ops/harness/case.h"
#include "ops/plugin/plugin.h"

namespace weft::tools {

struct TimeOptions {
  std::vector<std::string> shapes;  // ROWSxWIDTH, or ROWSxOUTPUTSxK; none: a few
  std::string format;               // of weights; empty: the kernel's first
  std::optional<StepCase> of_file;  // in place of shapes
  int threads = 1;
  int rounds = 20;
};

// A table: for each shape, with one thread and with all, both times (median of the rounds, in which they take turns),
// rates and shares of the machine's limit, and their ratio. Throws Error for a shape that is none.
std::string time_kernel(const PluginKernel& kernel, const TimeOptions& options);

// The same of a kernel of OpenCL devices, which has no threads and no limits that are measured. Of an op, there is
// nothing beside it.
std::string time_kernel(const PluginKernel& kernel, GpuDevice& device, const TimeOptions& options);

}  // namespace weft::tools

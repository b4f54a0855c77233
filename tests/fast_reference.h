// The reference of kernels that quantize activations: as they do, so that the comparison is as tight as that of exact
// kernels.
#pragma once

#include <string>

#include "ops/contract/kernels.h"
#include "ops/harness/reference.h"
#include "ops/harness/run_cpu.h"

namespace weft {

// What the case's kernel of Precision::fast says in its name: "Q8_0 int8" where activations that meet Q8_0 are
// quantized.
inline QuantizedActivations quantized_activations(const StepCase& step_case) {
  const std::string kernel = cpu_kernel_name(step_case, Precision::fast);
  QuantizedActivations quantized{.formats = {}, .most_rows = kInt8Rows};
  for (const Format format : kBlockFormats) {
    if (kernel.find(std::string(name(format)) + " int8") != std::string::npos) quantized.formats.push_back(format);
  }
  return quantized;
}

inline Outputs run_fast_reference(const StepCase& step_case) {
  return run_reference(step_case, quantized_activations(step_case));
}

}  // namespace weft

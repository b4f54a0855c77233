// The reference of kernels that quantize activations: as they do, so that the comparison is as tight as that of exact
// kernels.
#pragma once

#include "ops/harness/reference.h"
#include "ops/harness/run_cpu.h"

namespace weft {

// As the case's kernel of Precision::fast announces it.
inline QuantizedActivations quantized_activations(const StepCase& step_case, const ProductKernel* forced = nullptr) {
  QuantizedActivations quantized;
  for (const KernelRange& kernel : cpu_kernels(step_case, Precision::fast, forced)) {
    if (kernel.activations == ActivationElement::int8) quantized[kernel.right] = kernel.last_rows;
  }
  return quantized;
}

inline Outputs run_fast_reference(const StepCase& step_case, const ProductKernel* forced = nullptr) {
  return run_reference(step_case, quantized_activations(step_case, forced));
}

}  // namespace weft

// The reference of kernels that round: as they do, so that the comparison is as tight as that of exact kernels.
#pragma once

#include <algorithm>

#include "ops/harness/reference.h"
#include "ops/harness/run_cpu.h"

namespace weft {

inline reference::Rounding rounding_of(ActivationElement element) {
  switch (element) {
    case ActivationElement::floats:
    case ActivationElement::digits: return reference::Rounding::none;
    case ActivationElement::int8: return reference::Rounding::int8;
    case ActivationElement::bf16: break;
  }
  return reference::Rounding::bf16;
}

// As the case's kernels of Precision::fast announce it; without what is not rounded for any number of rows.
inline RoundedProducts rounded_products(const StepCase& step_case, const ProductKernel* forced = nullptr) {
  RoundedProducts rounded;
  for (const KernelRange& kernel : cpu_kernels(step_case, Precision::fast, forced)) {
    rounded[kernel.right].push_back({kernel.last_rows, rounding_of(kernel.activations)});
  }
  std::erase_if(rounded, [](const auto& of) {
    return std::all_of(of.second.begin(), of.second.end(),
                       [](const auto& range) { return range.rounding == reference::Rounding::none; });
  });
  return rounded;
}

inline Outputs run_fast_reference(const StepCase& step_case, const ProductKernel* forced = nullptr) {
  return run_reference(step_case, rounded_products(step_case, forced));
}

}  // namespace weft

#include "ops/cpu/kernel.h"

#include "core/error.h"

namespace weft {

std::unique_ptr<CpuKernel> select_cpu_kernel(const KernelContext& context) {
  switch (context.step.kind) {
    case StepKind::map:
      if (auto kernel = make_gather_kernel(context)) return kernel;
      return make_map_kernel(context);
    case StepKind::reduce: return make_reduce_kernel(context);
    case StepKind::contract: return make_contract_kernel(context);
    case StepKind::attention: return make_attention_kernel(context);
    case StepKind::append: return make_append_kernel(context);
  }
  throw Error("step '" + context.step.name + "': its kind is not one of those that are known");
}

}  // namespace weft

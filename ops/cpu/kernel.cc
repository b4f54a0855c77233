#include "ops/cpu/kernel.h"

#include "core/error.h"

namespace weft {

void add_step_kernels(KernelTable& table) {
  const auto add = [&](const char* name, StepKind kind, auto* make, int preference = 0) {
    table.add(StepKernel{.name = name, .kind = kind, .preference = preference, .make = make});
  };
  add("gather", StepKind::map, make_gather_kernel, 1);
  add("map", StepKind::map, make_map_kernel);
  add("reduce", StepKind::reduce, make_reduce_kernel);
  add("contract", StepKind::contract, make_contract_kernel);
  add("attention-bf16", StepKind::attention, make_bf16_attention_kernel, 1);
  add("attention", StepKind::attention, make_attention_kernel);
  add("append", StepKind::append, make_append_kernel);
  add("scan", StepKind::scan, make_scan_kernel);
}

std::unique_ptr<CpuKernel> select_cpu_kernel(const KernelContext& context) {
  if (context.forced_step != nullptr && context.forced_step->kind == context.step.kind) {
    if (auto kernel = context.forced_step->make(context)) return kernel;
  }
  for (const StepKernel* row : kernel_table().steps(context.step.kind)) {
    if (auto kernel = row->make(context)) return kernel;
  }
  if (context.step.kind == StepKind::custom) {
    throw Error("step '" + context.step.name + "': op '" + context.step.regions.front().custom->name +
                "' has no CPU form that takes such operands; a C++ file adds one before a model is opened "
                "(docs/write_a_kernel.md)");
  }
  throw Error("step '" + context.step.name + "': no CPU kernel takes this " + std::string(name(context.step.kind)) +
              " step");
}

WeightLayouts choose_weight_layouts(const GraphRecord& graph, const int64_t* extents, const ProductKernel* forced) {
  return choose_weight_layouts(graph, extents,
                               [&](Format format) { return preferred_layout(kernel_table(), format, forced); });
}

}  // namespace weft

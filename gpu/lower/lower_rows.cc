// Kernels of files (ops/plugin/opencl_file.h) for steps that are a formula of rows.
#include <algorithm>
#include <bit>
#include <utility>

#include "core/error.h"
#include "gpu/lower/lower_parts.h"
#include "ops/plugin/rows_of_step.h"

namespace weft::gpu_lowering {
namespace {

void check(const OpenClRowsKernel& kernel, const GpuShape& shape) {
  if (kernel.work_items > shape.max_group) {
    throw Error(kernel.file->where(kernel.name) + ": this device has at most " + std::to_string(shape.max_group) +
                " work-items, not " + std::to_string(kernel.work_items));
  }
  if (4 * static_cast<size_t>(kernel.shared) > shape.local_bytes) {
    throw Error(kernel.file->where(kernel.name) + ": " + std::to_string(kernel.shared) + " floats are more than the " +
                std::to_string(shape.local_bytes) + " bytes that a work-group of this device shares");
  }
}

StepPlan rows_plan(const GraphRecord& graph, const Step& step, const GpuShape& shape, const OpenClRowsKernel& kernel,
                   RowsOfStep rows) {
  check(kernel, shape);
  StepPlan plan;
  plan.kernels = {{.name = kernel.name}};
  plan.files = {kernel.file};
  KernelBuilder builder(graph, &step.regions.front(), nullptr);
  KernelPlan call;
  call.ran = {kernel.name};
  call.grid = LaunchGrid::groups;
  call.group = kernel.work_items;
  call.units = count_of(rows.row_axes);
  const std::string width = builder.param("width", count_of({rows.along}));
  std::string values;
  const auto add = [&](const std::string& value) { values += (values.empty() ? "" : ", ") + value; };
  for (size_t i = 0; i < rows.inputs.size(); ++i) {
    RowsInput& input = rows.inputs[i];
    MemoryRef memory{MemoryRef::Kind::value, input.value};
    if (!input.weight.empty()) {
      memory = {MemoryRef::Kind::constants, plan.constants.size()};
      StepConstants& constants = plan.constants.emplace_back();
      constants.capacity = input.weight.size();
      constants.values = std::move(input.weight);
    }
    const std::string count = builder.param("rows" + std::to_string(i), count_of(input.row_axes));
    add("(__global const float*)" + builder.memory(memory) + " + row % (uint)" + count + " * " + width);
  }
  add("(__global float*)" + builder.memory({MemoryRef::Kind::value, step.outputs[0]}) + " + (long)row" +
      (kernel.formula->reduces_row ? "" : " * " + width));
  for (size_t i = 0; i < rows.constants.size(); ++i) {
    const auto bits = static_cast<int64_t>(std::bit_cast<int32_t>(rows.constants[i]));
    add("as_float((int)" + builder.param("constant" + std::to_string(i), [bits](const GpuArgs&) { return bits; }) +
        ")");
  }
  add("(int)" + width);
  std::string piece;
  if (kernel.columns > 0) {
    call.units_y = [along = rows.along, columns = kernel.columns](const GpuArgs& args) {
      return (args.extents[along] + columns - 1) / columns;
    };
    const std::string columns = std::to_string(kernel.columns);
    piece = "  const int begin = (int)get_group_id(1) * " + columns + ", end = min(begin + " + columns + ", (int)" +
            width + ");\n";
    add("begin");
    add("end");
  }
  add("shared");
  plan.stages.emplace_back();
  plan.stages.back().push_back(finish_kernel(builder, std::move(call), "plugin", "kernel", 0, shape,
                                             {{"function", kernel.name},
                                              {"work_items", std::to_string(kernel.work_items)},
                                              {"shared", std::to_string(kernel.shared)},
                                              {"piece", piece},
                                              {"values", values}}));
  return plan;
}

// Weights that kernels of contractions have in another layout are theirs.
bool is_as_stored(const GraphRecord& graph, const RowsOfStep& rows, const WeightLayouts* layouts) {
  if (layouts == nullptr) return true;
  for (const RowsInput& input : rows.inputs) {
    const ValueRecord& value = graph.values[input.value];
    if (input.weight.empty() && value.kind == ValueKind::weight && layouts->contains(value.storage.get())) return false;
  }
  return true;
}

}  // namespace

std::optional<StepPlan> lower_rows(const GraphRecord& graph, const Step& step, const GpuShape& shape,
                                   const LowerOptions& options) {
  const auto take = [&](const OpenClRowsKernel& kernel) -> std::optional<StepPlan> {
    std::optional<RowsOfStep> rows = find_rows(graph, step, *kernel.formula);
    if (!rows || !is_as_stored(graph, *rows, options.layouts)) return std::nullopt;
    return rows_plan(graph, step, shape, kernel, std::move(*rows));
  };
  if (options.forced_rows != nullptr) {
    if (auto plan = take(*options.forced_rows)) return plan;
  }
  for (const OpenClRowsKernel* kernel : opencl_rows_table().all()) {
    // Those behind the built-in ones serve where there are none.
    if (kernel->preference < 0 && step.kind != StepKind::custom) continue;
    if (auto plan = take(*kernel)) return plan;
  }
  return std::nullopt;
}

[[noreturn]] void refuse_op(const Step& step) {
  const std::string& op = step.regions.front().custom->name;
  const auto is_of_op = [&](const OpenClRowsKernel* kernel) { return kernel->formula->op == op; };
  const bool has_form = std::ranges::any_of(opencl_rows_table().all(), is_of_op);
  throw Error("step '" + step.name + "': op '" + op + "' has no OpenCL form" +
              (has_form ? " that takes such operands" : "; a .cl file adds one before a model is opened") +
              " (docs/write_a_kernel.md)");
}

}  // namespace weft::gpu_lowering

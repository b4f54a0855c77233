#include "ops/cpu/kernel.h"

#include <algorithm>
#include <optional>
#include <set>

#include "core/error.h"
#include "core/record/visit.h"

namespace weft {

void add_step_kernels(KernelTable& table) {
  const auto add = [&](const char* name, StepKind kind, auto* make, int preference = 0) {
    table.add(StepKernel{.name = name, .kind = kind, .preference = preference, .make = make});
  };
  add("gather", StepKind::map, make_gather_kernel, 1);
  add("map", StepKind::map, make_map_kernel);
  add("reduce", StepKind::reduce, make_reduce_kernel);
  add("contract", StepKind::contract, make_contract_kernel);
  add("attention", StepKind::attention, make_attention_kernel);
  add("append", StepKind::append, make_append_kernel);
}

std::unique_ptr<CpuKernel> select_cpu_kernel(const KernelContext& context) {
  for (const StepKernel* row : kernel_table().steps(context.step.kind)) {
    if (auto kernel = row->make(context)) return kernel;
  }
  throw Error("step '" + context.step.name + "': no CPU kernel takes this " + std::string(name(context.step.kind)) +
              " step");
}

std::string CpuKernel::kernel_text(std::span<const KernelRange> kernels) {
  std::vector<std::string> parts;  // a whole step, or the products with one weight
  for (size_t i = 0; i < kernels.size(); ++i) {
    const KernelRange& kernel = kernels[i];
    std::string text = kernel.name;
    if (kernel.last_rows != kAnyRows) text += " \u2264" + std::to_string(kernel.last_rows);
    if (kernel.first_rows > 1) {
      parts.back() += ", " + text;
    } else if (kernel.right != kNoValue) {
      const std::string layout = kernel.layout.is_stored() ? "" : " " + weft::name(kernel.layout);
      parts.push_back(std::string(weft::name(kernel.format)) + layout + ": " + text);
    } else {
      parts.push_back(text);
    }
  }
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (std::find(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(i), parts[i]) !=
        parts.begin() + static_cast<std::ptrdiff_t>(i)) {
      continue;
    }
    text += (text.empty() ? "" : "; ") + parts[i];
  }
  return text;
}

WeightLayouts choose_weight_layouts(const GraphRecord& graph, const int64_t* extents, const ProductKernel* forced) {
  WeightLayouts wanted;
  std::set<const Storage*> stored;  // what something reads as stored
  const auto storage_of = [&](const Operand& operand) -> const Storage* {
    const ValueRecord& value = graph.values[operand.value];
    return value.kind == ValueKind::weight ? value.storage.get() : nullptr;
  };
  const auto want = [&](const Operand& operand, const std::optional<MatrixShape>& shape) {
    const Storage* storage = storage_of(operand);
    if (storage == nullptr) return;
    const Layout layout = preferred_layout(kernel_table(), storage->format, forced);
    if (!shape || layout.is_stored() || shape->k == 0 || shape->rows == 0 || shape->slices == 0) {
      stored.insert(storage);
      return;
    }
    const auto [at, is_new] = wanted.try_emplace(storage, ChosenLayout{layout, *shape});
    if (!is_new && at->second.shape != *shape) stored.insert(storage);
  };
  std::set<const Storage*> multiplied;  // what is only gathered stays as it is
  for (const Step& step : graph.steps) {
    if (const Operand* table = gathered_table(graph, step)) {
      const int64_t rows = extents[table->view[0].stored];
      const Storage* storage = storage_of(*table);
      int64_t elements = 1;
      for (const ViewAxis& axis : table->view) elements *= extents[axis.stored];
      if (storage != nullptr)
        want(*table, rows > 0 ? std::optional(MatrixShape{1, rows, elements / rows}) : std::nullopt);
      continue;
    }
    for (const Region& region : step.regions) {
      std::vector<bool> as_matrix(region.operands.size());
      for (const Contraction& contraction : region.contractions) {
        if (step.kind == StepKind::attention) break;  // reads keys as they are
        const Operand& rhs = region.operands[static_cast<size_t>(contraction.rhs)];
        as_matrix[static_cast<size_t>(contraction.rhs)] = true;
        want(rhs, matrix_of_rows(graph, region, contraction, extents));
        multiplied.insert(storage_of(rhs));
      }
      for_each_program(region, [&](const ScalarProgram& program) {
        for (const ScalarInstr& instr : program.code) {
          if (instr.op == ScalarOp::load) as_matrix[static_cast<size_t>(instr.imm)] = false;
        }
      });
      for (size_t i = 0; i < region.operands.size(); ++i) {
        if (!as_matrix[i]) want(region.operands[i], std::nullopt);
      }
    }
  }
  std::erase_if(wanted,
                [&](const auto& entry) { return stored.contains(entry.first) || !multiplied.contains(entry.first); });
  return wanted;
}

}  // namespace weft

#include "ops/weight_layouts.h"

#include <optional>
#include <set>

#include "core/record/visit.h"
#include "ops/matrices.h"

namespace weft {

WeightLayouts choose_weight_layouts(const GraphRecord& graph, const int64_t* extents,
                                    const std::function<Layout(Format)>& preferred) {
  WeightLayouts wanted;
  std::set<const Storage*> stored;  // what something reads as stored
  const auto storage_of = [&](const Operand& operand) -> const Storage* {
    const ValueRecord& value = graph.values[operand.value];
    return value.kind == ValueKind::weight ? value.storage.get() : nullptr;
  };
  const auto want = [&](const Operand& operand, const std::optional<MatrixShape>& shape) {
    const Storage* storage = storage_of(operand);
    if (storage == nullptr) return;
    const Layout layout = preferred(storage->format);
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
          if (instr.op == ScalarOp::load || instr.op == ScalarOp::lookup)
            as_matrix[static_cast<size_t>(instr.imm)] = false;
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

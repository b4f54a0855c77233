// Which operands are matrices of rows: on the right of contractions, and in gathers.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/record/graph.h"
#include "core/record/layout.h"

namespace weft {

// The axes of a contraction's result.
struct ContractionAxes {
  std::vector<AxisId> rows;     // what remains of lhs, in its order, then the axes that only ids of rhs have
  std::vector<AxisId> columns;  // what rhs has beyond that, in its order
  std::vector<AxisId> summed;   // contracted axes along which ids choose other rhs rows: summed up last
  std::vector<AxisId> k;        // the other contracted axes
};
ContractionAxes axes_of(const Region& region, const Contraction& contraction);

// True where ids choose right-hand rows by left-hand row alone (`row_axes`): not where they differ by output or along
// contracted elements.
bool is_chosen_by_rows(const Region& region, const Operand& operand, std::span<const AxisId> row_axes);

// The shape in which the weight on the right of a contraction can be packed: its storage is matrices whose rows are the
// outputs, in their order, and whose columns are the contracted elements; what chooses a matrix comes before. Null
// where it is not laid out so. `extents`: by AxisId, those of weights are known.
std::optional<MatrixShape> matrix_of_rows(const GraphRecord& graph, const Region& region,
                                          const Contraction& contraction, const int64_t* extents);

// The operand of a region from which rows are gathered, whole ones, and nothing else is done; null where the step is no
// such gather.
const Operand* gathered_table(const GraphRecord& graph, const Step& step);

}  // namespace weft

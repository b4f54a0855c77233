// Rows of a result into the slots of a cache's pages.
#pragma once

#include "ops/gather/reference.h"
#include "ops/harness/reference_scope.h"

namespace weft::reference {

// `result` leads with the cache's pos axis; row r goes to slot slots[r], if that is not negative.
inline void append_rows(const StepScope& scope, const CacheRecord& cache, const Table<ScalarValue>& result,
                        ValueId field) {
  const auto* slots = static_cast<const int32_t*>(scope.args.data[cache.slots]);
  const int64_t rows = scope.args.extents[cache.pos];
  if (rows == 0) return;
  const int64_t width = static_cast<int64_t>(result.elements.size()) / rows;
  for (int64_t r = 0; r < rows; ++r) {
    if (slots[r] < 0) continue;
    for (int64_t i = 0; i < width; ++i) {
      write_element(scope.graph.values[field].format, scope.args.data[field], slots[r] * width + i,
                    result.elements[static_cast<size_t>(r * width + i)]);
    }
  }
}

inline void append_positions(const GraphRecord& graph, const CacheRecord& cache, const StepArgs& args) {
  const auto* slots = static_cast<const int32_t*>(args.data[cache.slots]);
  const auto* positions = static_cast<const int32_t*>(args.data[cache.pos_values]);
  for (int64_t r = 0; r < args.extents[cache.pos]; ++r) {
    if (slots[r] < 0) continue;
    write_element(graph.values[cache.positions].format, args.data[cache.positions], slots[r], {0, positions[r]});
  }
}

}  // namespace weft::reference

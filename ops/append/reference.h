// Rows of a result into the slots of a cache's pages.
#pragma once

#include <algorithm>
#include <vector>

#include "ops/gather/reference.h"
#include "ops/harness/reference_scope.h"

namespace weft::reference {

// `result` leads with the cache's pos axis; row r goes to slot slots[r], if that is not negative.
inline void append_rows(const StepScope& scope, const CacheRecord& cache, const Table<ScalarValue>& result,
                        ValueId field) {
  const auto* slots = static_cast<const int32_t*>(scope.args.data[cache.slots]);
  const int64_t rows = scope.args.extents[cache.pos];
  if (rows == 0) return;
  const Format format = scope.graph.values[field].format;
  const size_t width = result.elements.size() / static_cast<size_t>(rows), bytes = row_bytes(format, width);
  std::vector<float> row(width);
  for (int64_t r = 0; r < rows; ++r) {
    if (slots[r] < 0) continue;
    const ScalarValue* from = result.elements.data() + static_cast<size_t>(r) * width;
    std::transform(from, from + width, row.begin(), [](const ScalarValue& x) { return static_cast<float>(x.f); });
    auto* to = static_cast<std::byte*>(scope.args.data[field]) + static_cast<size_t>(slots[r]) * bytes;
    encode_row_or_nan(format, row.data(), width, to);
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

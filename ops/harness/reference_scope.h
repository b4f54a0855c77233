// State of the reference within a step: the coordinates, and tables of what has been computed so far.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "core/record/axis_list.h"
#include "ops/step.h"

namespace weft::reference {

struct StepScope {
  const GraphRecord& graph;
  const Region& region;
  const StepArgs& args;
  int cache;                        // that the region's operands lie in; -1: none
  std::vector<int64_t> coordinate;  // by AxisId; those of the axes of the loops around

  StepScope(const GraphRecord& graph_record, const Region& its_region, const StepArgs& step_args)
      : graph(graph_record),
        region(its_region),
        args(step_args),
        cache(cache_of(graph, region)),
        coordinate(graph_record.axes.size(), 0) {}

  bool is_cached_key(AxisId axis) const { return cache >= 0 && graph.caches[static_cast<size_t>(cache)].key == axis; }
  const PageTable& pages() const { return args.pages[cache]; }

  // The sequence of the cache that the current `pos` coordinate belongs to; -1 if there is none.
  int64_t sequence() const {
    const CacheRecord& record = graph.caches[static_cast<size_t>(cache)];
    const int32_t id = static_cast<const int32_t*>(args.data[record.seq])[coordinate[record.pos]];
    return id >= 0 && id < pages().sequences ? id : -1;
  }

  // Extent of an axis here: for the key axis of a cache, that of the current sequence.
  int64_t extent(AxisId axis) const {
    if (!is_cached_key(axis)) return args.extents[axis];
    const int64_t s = sequence();
    return s < 0 ? 0 : pages().length[s];
  }

  // Where an axis begins: for the key axis of a cache, after the tokens whose pages are gone.
  int64_t begin(AxisId axis) const {
    const int64_t s = is_cached_key(axis) ? sequence() : -1;
    return s < 0 ? 0 : pages().first_of(s);
  }

  // The largest that extent(axis) becomes.
  int64_t max_extent(AxisId axis) const {
    if (!is_cached_key(axis)) return args.extents[axis];
    int64_t longest = 0;
    for (int32_t s = 0; s < pages().sequences; ++s) longest = std::max<int64_t>(longest, pages().length[s]);
    return longest;
  }
};

// Calls `visit()` for all coordinates over `axes`, the last one fastest. A cached key must come after its `pos`.
template <class Visit>
void for_each(StepScope& scope, std::span<const AxisId> axes, const Visit& visit) {
  if (axes.empty()) {
    visit();
    return;
  }
  int64_t& at = scope.coordinate[axes.front()];
  const int64_t extent = scope.extent(axes.front());
  for (at = scope.begin(axes.front()); at < extent; ++at) for_each(scope, axes.subspan(1), visit);
  at = 0;
}

// Elements over axes, addressed by the scope's coordinates.
template <class T>
class Table {
 public:
  Table() = default;
  Table(const StepScope& scope, std::vector<AxisId> table_axes, T initial = {}) : axes(std::move(table_axes)) {
    size_t count = 1;
    for (const AxisId axis : axes) {
      extents.push_back(scope.max_extent(axis));
      count *= static_cast<size_t>(extents.back());
    }
    elements.assign(count, initial);
  }

  T& at(const StepScope& scope) { return elements[index(scope)]; }
  const T& at(const StepScope& scope) const { return elements[index(scope)]; }

  std::vector<AxisId> axes;
  std::vector<int64_t> extents;
  std::vector<T> elements;  // row-major

 private:
  size_t index(const StepScope& scope) const {
    int64_t result = 0;
    for (size_t i = 0; i < axes.size(); ++i) result = result * extents[i] + scope.coordinate[axes[i]];
    return static_cast<size_t>(result);
  }
};

// What a program can read beside operands and coordinates.
struct Results {
  std::vector<Table<double>> contractions;
  std::vector<Table<ScalarValue>> reductions;  // of the current source
  const Table<double>* rotated = nullptr;
};

}  // namespace weft::reference

// A graph that computes only some of its results.
#pragma once

#include <span>

#include "core/record/graph.h"

namespace weft {

// The graph with these results alone, and without the steps that none of them depends on: appends to caches that
// nothing reads are left out too. Values and their ids stay. Throws Error for a value that no step writes.
GraphRecord with_results(const GraphRecord& graph, std::span<const ValueId> results);

}  // namespace weft

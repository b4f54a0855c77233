// Equal steps of a plan, grouped: what `explain` shows as one line.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/record/graph.h"

namespace weft {

// Two steps are equal if their records are, apart from which values they name, numbers (elements of weights, f32
// constants, frequencies) and where a slice begins; if kernels of the same name run them; and if they have the
// same place in their layers: the same name apart from its number or, without names, the same distance from the
// layer's attention.
struct EqualSteps {
  std::string name;           // "blk.0-5.q", "blk.0,2,…,30.attn"; for a single step its own name
  std::vector<size_t> steps;  // indices in the graph, ascending
};

// Every step of the graph once. Lines that differ only in formats or kernels follow each other. `kernels`: by
// step. `extents`: by AxisId, to compare axes by.
std::vector<EqualSteps> fold_steps(const GraphRecord& graph, const std::vector<std::string>& kernels,
                                   const int64_t* extents);

// The number of steps from one attention to the next, if it is constant; else 0.
size_t steps_per_layer(const GraphRecord& graph);

}  // namespace weft

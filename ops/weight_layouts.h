// In which layouts the weights of a graph are held.
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "core/record/graph.h"
#include "core/record/layout.h"

namespace weft {

// How the weights of a graph are to be held: in an interleaved layout where everything that reads them can read it, so
// that none is held twice; the others as stored.
struct ChosenLayout {
  Layout layout;
  MatrixShape shape;
  bool operator==(const ChosenLayout&) const = default;
};
using WeightLayouts = std::map<const Storage*, ChosenLayout>;  // without those that stay as stored

// `extents`: by AxisId; those of weights are known. `preferred`: the layout that a device's kernels of contractions
// prefer for weights of a format. Weights get it whose only readers are contractions and gathers of whole rows.
WeightLayouts choose_weight_layouts(const GraphRecord& graph, const int64_t* extents,
                                    const std::function<Layout(Format)>& preferred);

}  // namespace weft

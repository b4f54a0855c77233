// The part of the verifier that checks one region and the outputs it has. Used by core/record/verify.cc.
#pragma once

#include <cstddef>

#include "core/record/graph.h"

namespace weft {

// Throws Error. The step has as many regions and outputs as its kind requires and, if it appends, a known cache.
void verify_region(const GraphRecord& graph, const Step& step, size_t index);

}  // namespace weft

// What the fields of a graph's caches are stored in: a choice of the plan, by what a field is for.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/record/graph.h"

namespace weft {

// A field that is not stored as it was asked for.
struct CacheFallback {
  ValueId field = kNoValue;
  Format wanted = Format::f32;
  std::string reason;  // "32 does not divide head_dim 48"
};

// By ValueId: whether it is a field of a cache that the score of an attention reads; its values may lie there, too.
std::vector<bool> scored_fields(const GraphRecord& graph);

// Sets the formats of cache fields: `scored` for those that scores read, `others` for the rest; where these are empty,
// fields stay as the graph has them. A format of blocks that do not fit a field's rows, or what reads them, gives way
// to f16, which the result tells. The graph must have been verified. Throws Error for a format that caches cannot have.
std::vector<CacheFallback> set_cache_formats(GraphRecord& graph, std::optional<Format> scored,
                                             std::optional<Format> others);

// "f32, f16, bf16, q8_0"
std::string cache_format_names();
// The format of that name; empty for a name that is not among those.
std::optional<Format> cache_format(std::string_view name);

}  // namespace weft

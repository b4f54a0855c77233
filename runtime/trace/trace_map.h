// Where recordings made elsewhere have the values of a trace: a JSON file.
//
//   {"values": {
//     "embedding":           "model.embed_tokens",
//     "blk.{}.attn_norm":    ["model.layers.{}.input_layernorm", "transformer.h.{}.ln_1"],
//     "blk.{}.q":            {"from": "model.layers.{}.self_attn.query",
//                             "order": ["kv_head", "group", "pos", "head_dim"], "pairs": "half_split"},
//     "blk.{}.ffn_hidden":   null
//   }}
//
// A name may contain {} for a number (of a layer) and * for any text; in the names of the recording, {} and *
// stand for what was matched, in the order in which they occur. If there are several names, the first that the
// recording has is used; null: the value is not compared. Where several patterns match, the one with the most
// literal text wins. "order": the value's axes in the order of the recording; dimensions that were split or merged
// need not be mentioned. "pairs": the order of the elements of rotary pairs on the value's rotary axis in the
// recording, "half_split" or "interleaved".
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/record/graph.h"

namespace weft {

struct MappedValue {
  std::vector<std::string> from;   // names in the recording; none: not compared
  std::vector<std::string> order;  // axes; none: the value's own order
  std::optional<RopePairs> pairs;
};

// Immutable, so threads may share one.
class TraceMap {
 public:
  // Throws Error, naming `source` and the key at fault, for text that is not a valid map.
  static TraceMap parse(std::string_view text, const std::string& source);
  static TraceMap open(const std::filesystem::path& path);

  // Nothing if the map does not mention this value.
  std::optional<MappedValue> find(std::string_view value) const;

 private:
  struct Entry {
    std::string pattern;
    size_t literals = 0;
    MappedValue value;
  };
  std::vector<Entry> entries_;  // most literal first
};

}  // namespace weft

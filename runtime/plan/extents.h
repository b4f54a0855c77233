// Extents of a graph's axes: one per axis, from axis types, weights, rules, limits and the inputs of a run.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/record/graph.h"

namespace weft {

// Largest extents that run-time axes may have in one plan.
struct Limits {
  std::vector<std::pair<AxisId, int64_t>> extents;

  Limits& set(AxisId axis, int64_t extent) {
    extents.emplace_back(axis, extent);
    return *this;
  }
};

inline constexpr int64_t kUnknownExtent = -1;

// Known extents and their origins. A second, different extent for an axis is an Error that names the axis, both
// extents and both origins: "axis 'embed' is 64 in weight 'blk.0.attn_q' but 32 in input 'x'".
class ExtentTable {
 public:
  explicit ExtentTable(const GraphRecord& graph);

  // What is known before any run: fixed extents of axis types, weights, and what the rules derive from them.
  static ExtentTable of_graph(const GraphRecord& graph);

  // `known` and limits for the other axes. Throws Error for a limit below a known extent and for an axis that is
  // used but has neither.
  static ExtentTable of_limits(const ExtentTable& known, const Limits& limits);

  void set_by_value(AxisId axis, int64_t extent, ValueId value) { set(axis, extent, {From::value, value}); }
  void set_by_caller(AxisId axis, int64_t extent) { set(axis, extent, {From::caller, 0}); }

  // Derives extents by the rules until nothing changes; checks rules whose axes are all known.
  void apply_rules();

  int64_t operator[](AxisId axis) const { return extents_[axis]; }
  bool known(AxisId axis) const { return extents_[axis] != kUnknownExtent; }
  const int64_t* data() const { return extents_.data(); }

  // Copies another table of the same graph; allocates nothing.
  void assign(const ExtentTable& other);

  // Throws Error for an axis above its limit, naming it, and for one that a value needs and nothing has set.
  void check_against(const ExtentTable& limits) const;

 private:
  enum class From : uint8_t { nothing, axis_type, value, rule, limit, caller };
  struct Origin {
    From from = From::nothing;
    uint32_t index = 0;  // ValueId or rule
  };

  void set(AxisId axis, int64_t extent, Origin origin);
  bool apply(const ExtentRule& rule, uint32_t index);
  std::string describe(Origin origin) const;

  const GraphRecord* graph_;
  std::vector<int64_t> extents_;
  std::vector<Origin> origins_;
};

// Axes that values or loops of the graph have, except the key axes of caches.
std::vector<bool> used_axes(const GraphRecord& graph);

// Is `axis` the key axis of a cache? Such an axis has no single extent within the graph.
bool is_key_axis(const GraphRecord& graph, AxisId axis);

// Bytes of a value of these extents. Throws Error, naming the value, where they overflow, or where its last axis
// would cut a block of its format.
size_t value_bytes(const GraphRecord& graph, ValueId value, const int64_t* extents);

}  // namespace weft

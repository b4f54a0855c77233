// Lists of axes as records hold them: in an order that matters, no axis twice.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "core/record/graph.h"

namespace weft {

using AxisList = std::vector<AxisId>;

// The index of `axis` in `axes`; axes.size() where it is absent.
inline size_t find_axis(std::span<const AxisId> axes, AxisId axis) {
  return static_cast<size_t>(std::find(axes.begin(), axes.end(), axis) - axes.begin());
}

inline bool contains(std::span<const AxisId> axes, AxisId axis) { return find_axis(axes, axis) < axes.size(); }

// Appends `axis`, unless the list has it.
inline void add_axis(AxisList& axes, AxisId axis) {
  if (!contains(axes, axis)) axes.push_back(axis);
}
inline void add_axes(AxisList& axes, std::span<const AxisId> more) {
  for (const AxisId axis : more) add_axis(axes, axis);
}

inline AxisList without(std::span<const AxisId> axes, std::span<const AxisId> removed) {
  AxisList result;
  for (const AxisId axis : axes) {
    if (!contains(removed, axis)) result.push_back(axis);
  }
  return result;
}
inline AxisList without(std::span<const AxisId> axes, AxisId removed) { return without(axes, {&removed, 1}); }

// `a`, then `b`, which have no axis in common.
inline AxisList joined(AxisList a, const AxisList& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace weft

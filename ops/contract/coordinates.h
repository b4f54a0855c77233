// Mixed-radix counting over a few axes, the last one fastest.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/record/graph.h"

namespace weft {

struct AxisSpace {
  static constexpr int kMax = kMaxRank + 1;
  int rank = 0;
  std::array<int64_t, kMax> extent{};

  AxisSpace() = default;
  AxisSpace(std::span<const AxisId> axes, const int64_t* extents) : rank(static_cast<int>(axes.size())) {
    for (size_t i = 0; i < axes.size(); ++i) extent[i] = extents[axes[i]];
  }
  int64_t count() const {
    int64_t n = 1;
    for (int i = 0; i < rank; ++i) n *= extent[static_cast<size_t>(i)];
    return n;
  }
  // Coordinates of the element `flat`.
  void split(int64_t flat, int64_t* coordinates) const {
    for (int i = rank; i-- > 0;) {
      const int64_t e = extent[static_cast<size_t>(i)];
      coordinates[i] = flat % e;
      flat /= e;
    }
  }
  // To the next element; wraps at the end.
  void advance(int64_t* coordinates) const {
    for (int i = rank; i-- > 0;) {
      if (++coordinates[i] < extent[static_cast<size_t>(i)]) return;
      coordinates[i] = 0;
    }
  }
};

}  // namespace weft

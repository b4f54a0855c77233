// The largest elements along an axis of a result, and where they are.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "ops/harness/reference_scope.h"

namespace weft::reference {

// The k = extent(choice) largest along `axis` at the current coordinates of the others, as (id, value); NaN counts
// as -inf, and is given as such. Past the end of the axis: (0, -inf).
inline std::vector<std::pair<int32_t, double>> select_here(StepScope& scope, const Table<double>& from, AxisId axis,
                                                           int64_t k) {
  constexpr double kLowest = -std::numeric_limits<double>::infinity();
  std::vector<std::pair<int32_t, double>> all;
  int64_t& at = scope.coordinate[axis];
  for (at = 0; at < scope.extent(axis); ++at) {
    const double x = from.at(scope);
    all.emplace_back(static_cast<int32_t>(at), std::isnan(x) ? kLowest : x);
  }
  at = 0;
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  all.resize(static_cast<size_t>(k), {0, kLowest});
  return all;
}

// Over the axes of `from`, with the choices' axis in place of the selection's, or without it.
struct Chosen {
  Table<ScalarValue> values, ids;
};

inline Chosen choose(StepScope& scope, const Table<double>& from, const Selection& selection) {
  std::vector<AxisId> axes = from.axes;
  int64_t count = 1;
  if (selection.choice == kNoAxis) {
    axes = without(axes, selection.axis);
  } else {
    std::replace(axes.begin(), axes.end(), selection.axis, selection.choice);
    count = scope.args.extents[selection.choice];
  }
  Chosen chosen{Table<ScalarValue>(scope, axes), Table<ScalarValue>(scope, axes)};
  for_each(scope, without(axes, selection.choice), [&] {
    const auto largest = select_here(scope, from, selection.axis, count);
    for (int64_t c = 0; c < count; ++c) {
      if (selection.choice != kNoAxis) scope.coordinate[selection.choice] = c;
      chosen.values.at(scope) = {largest[static_cast<size_t>(c)].second, 0};
      chosen.ids.at(scope) = {0, largest[static_cast<size_t>(c)].first};
    }
  });
  return chosen;
}

}  // namespace weft::reference

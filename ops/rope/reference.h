// The rotary embedding of a result (Su et al. 2021, arXiv:2104.09864).
#pragma once

#include <cmath>

#include "ops/gather/reference.h"
#include "ops/rope/frequencies.h"

namespace weft::reference {

// As Rotation of core/record/graph.h says.
inline Table<double> rotate(StepScope& scope, const Table<double>& from, const Rotation& rotation) {
  const int64_t extent = scope.extent(rotation.axis);
  const bool given = rotation.frequencies && !rotation.frequencies->empty();
  const int64_t pairs = given ? static_cast<int64_t>(rotation.frequencies->size()) : extent / 2;
  Table<double> result = from;
  const std::vector<AxisId> outer = without(from.axes, rotation.axis);
  for_each(scope, outer, [&] {
    int64_t& at = scope.coordinate[rotation.axis];
    for (int64_t i = 0; i < pairs; ++i) {
      int by = rotation.position;
      for (const RotationSection& section : rotation.sections) by = i >= section.first ? section.position : by;
      at = 0;
      const auto position = static_cast<float>(read_operand(scope, by).i);
      const bool half_split = rotation.pairs == RopePairs::half_split;
      const int64_t first = half_split ? i : 2 * i;
      const int64_t second = half_split ? i + pairs : 2 * i + 1;
      const float frequency = given ? (*rotation.frequencies)[static_cast<size_t>(i)]
                                    : static_cast<float>(rope_frequency(static_cast<double>(rotation.base), i, extent));
      const float angle = position * frequency;
      const double c = std::cos(static_cast<double>(angle)), s = std::sin(static_cast<double>(angle));
      at = first;
      const double x = from.at(scope);
      at = second;
      const double y = from.at(scope);
      const auto scale = static_cast<double>(rotation.scale);
      result.at(scope) = (x * s + y * c) * scale;
      at = first;
      result.at(scope) = (x * c - y * s) * scale;
    }
    at = 0;
  });
  return result;
}

}  // namespace weft::reference

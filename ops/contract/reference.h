// sum over `over` of lhs * rhs, with a prologue on the lhs and any view on the rhs; and the rotation of results.
#pragma once

#include <cmath>

#include "ops/reduce/reference.h"
#include "ops/rope/frequencies.h"

namespace weft::reference {

// Over contraction_axes(). `absolute` sums |lhs * rhs| instead.
inline Table<double> contract(Scope& scope, const Table<ScalarValue>& lhs, const Contraction& contraction,
                              bool absolute) {
  const std::vector<AxisId> axes = contraction_axes(scope.region, contraction);
  Table<double> result(scope, axes);
  for_each(scope, axes, [&] {
    double sum = 0;
    for_each(scope, contraction.over, [&] {
      const double product = lhs.at(scope).f * read_operand(scope, contraction.rhs).f;
      sum += absolute ? std::fabs(product) : product;
    });
    result.at(scope) = sum;
  });
  return result;
}

// Rotary embedding; see Rotation.
inline Table<double> rotate(Scope& scope, const Table<double>& from, const Rotation& rotation) {
  const int64_t extent = scope.extent(rotation.axis);
  const bool given = rotation.frequencies && !rotation.frequencies->empty();
  const int64_t pairs = given ? static_cast<int64_t>(rotation.frequencies->size()) : extent / 2;
  Table<double> result = from;
  const std::vector<AxisId> outer = without(from.axes, rotation.axis);
  for_each(scope, outer, [&] {
    int64_t& at = scope.coordinate[rotation.axis];
    const auto position = static_cast<float>(read_operand(scope, rotation.position).i);
    for (int64_t i = 0; i < pairs; ++i) {
      const bool half_split = rotation.pairs == RopePairs::half_split;
      const int64_t first = half_split ? i : 2 * i;
      const int64_t second = half_split ? i + pairs : 2 * i + 1;
      const float frequency =
          given ? (*rotation.frequencies)[static_cast<size_t>(i)]
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

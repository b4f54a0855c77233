// sum over `over` of lhs * rhs, with a prologue on the lhs and any view on the rhs.
#pragma once

#include <cmath>

#include "ops/reduce/reference.h"

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

}  // namespace weft::reference

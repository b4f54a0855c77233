// Reductions along one axis, a map over their results.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/map/reference.h"

namespace weft::reference {

// One reduction of `program` along `reduced` at the current coordinates of the other axes.
inline ScalarValue reduce_here(StepScope& scope, ReduceOp op, const ScalarProgram& program, AxisId reduced,
                               const Results& results) {
  const bool is_float = program.type() == Element::f32;
  const int64_t extent = scope.extent(reduced);
  double sum = 0;
  int64_t int_sum = 0;
  double largest = -std::numeric_limits<double>::infinity();
  int32_t largest_int = std::numeric_limits<int32_t>::min();
  int32_t at_largest = 0;
  bool found = false;
  int64_t& at = scope.coordinate[reduced];
  for (at = 0; at < extent; ++at) {
    const ScalarValue value = evaluate_here(scope, program, results);
    sum += value.f;
    int_sum += value.i;
    largest_int = std::max(largest_int, value.i);
    const double x = is_float ? value.f : static_cast<double>(value.i);
    if (std::isnan(x)) continue;
    if (!found || x > largest) at_largest = static_cast<int32_t>(at);
    largest = found ? std::max(largest, x) : x;
    found = true;
  }
  at = 0;
  switch (op) {
    case ReduceOp::sum: return {sum, static_cast<int32_t>(static_cast<uint32_t>(int_sum))};
    case ReduceOp::mean: return {sum / static_cast<double>(extent), 0};
    case ReduceOp::max: return {largest, largest_int};
    case ReduceOp::argmax: break;
  }
  return {0, at_largest};
}

// `visit` is told of the reductions before they go.
template <class Visit>
Table<ScalarValue> evaluate_source(StepScope& scope, const Source& source, Results& results, const Visit& visit) {
  const std::vector<AxisId> outer = without(source.axes, source.reduced);
  results.reductions.clear();
  for (const Reduction& reduction : source.reductions) {
    Table<ScalarValue> table(scope, outer);
    for_each(scope, outer,
             [&] { table.at(scope) = reduce_here(scope, reduction.op, reduction.program, source.reduced, results); });
    results.reductions.push_back(std::move(table));
  }
  Table<ScalarValue> result = map(scope, source.axes, source.program, results);
  visit(results.reductions);
  results.reductions.clear();
  return result;
}

}  // namespace weft::reference

// sum over `over` of lhs * rhs, with a prologue on the lhs and any view on the rhs; and the same of what kernels that
// round read.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "ops/harness/rounding.h"
#include "ops/reduce/reference.h"

namespace weft::reference {

// Over contraction_axes(). `absolute` sums |lhs * rhs| instead. `read_rhs` gives what rhs is at the scope's
// coordinates.
template <class ReadRhs>
Table<double> contract(StepScope& scope, const Table<ScalarValue>& lhs, const Contraction& contraction, bool absolute,
                       const ReadRhs& read_rhs) {
  const std::vector<AxisId> axes = contraction_axes(scope.region, contraction);
  Table<double> result(scope, axes);
  for_each(scope, axes, [&] {
    double sum = 0;
    for_each(scope, contraction.over, [&] {
      const double product = lhs.at(scope).f * read_rhs();
      sum += absolute ? std::fabs(product) : product;
    });
    result.at(scope) = sum;
  });
  return result;
}

inline Table<double> contract(StepScope& scope, const Table<ScalarValue>& lhs, const Contraction& contraction,
                              bool absolute) {
  return contract(scope, lhs, contraction, absolute, [&] { return read_operand(scope, contraction.rhs).f; });
}

// A row of activations in int8: in runs of 32, each element is the nearest (ties to even) of the whole multiples, -127
// to 127, of 1/127 of the run's largest magnitude. Which one is nearest is decided in f32. A run that holds a NaN or an
// infinity is NaN, one of magnitudes up to 1e-30 is 0.
inline std::vector<double> quantized(const std::vector<float>& row) {
  std::vector<double> result;
  for (size_t first = 0; first < row.size(); first += 32) {
    const size_t last = std::min(first + 32, row.size());
    float largest = 0;
    bool finite = true;
    for (size_t i = first; i < last; ++i) {
      finite = finite && std::isfinite(row[i]);
      largest = std::max(largest, std::fabs(row[i]));
    }
    const float inverse = 127.0f / largest;
    for (size_t i = first; i < last; ++i) {
      if (!finite) result.push_back(std::numeric_limits<double>::quiet_NaN());
      else if (largest <= 1e-30f) result.push_back(0);
      else result.push_back(static_cast<double>(largest / 127.0f) * std::nearbyint(row[i] * inverse));
    }
  }
  return result;
}

inline double to_bf16(double value) { return static_cast<double>(bf16_to_f32(f32_to_bf16(static_cast<float>(value)))); }

// contract() of what such kernels read.
inline Table<double> contract_rounded(StepScope& scope, const Table<ScalarValue>& lhs, const Contraction& contraction,
                                      bool absolute, const std::vector<RoundedRows>& rounded) {
  // Where ids along a contracted axis choose the right-hand rows, each coordinate on it is a row of lhs.
  AxisList chosen_by;
  for (const ViewAxis& axis : scope.region.operands[static_cast<size_t>(contraction.rhs)].view) {
    if (axis.gather < 0) continue;
    add_axes(chosen_by, loop_axes(scope.region, scope.region.operands[static_cast<size_t>(axis.gather)]));
  }
  const AxisList k = without(contraction.over, chosen_by), rows = without(lhs.axes, k);
  std::map<std::optional<int64_t>, int64_t> count;  // of rows, by where the right-hand rows begin that they meet
  for_each(scope, rows, [&] { ++count[offset_of(scope, contraction.rhs)]; });
  Table<Rounding> rounding(scope, rows);
  Table<ScalarValue> left = lhs;
  for_each(scope, rows, [&] {
    const int64_t rows_of_group = count[offset_of(scope, contraction.rhs)];
    const auto at = std::find_if(rounded.begin(), rounded.end(),
                                 [&](const RoundedRows& range) { return rows_of_group <= range.last_rows; });
    const Rounding of_row = at == rounded.end() ? Rounding::none : at->rounding;
    rounding.at(scope) = of_row;
    if (of_row == Rounding::none) return;
    std::vector<float> row;
    for_each(scope, k, [&] { row.push_back(static_cast<float>(lhs.at(scope).f)); });
    std::vector<double> read(row.begin(), row.end());
    if (of_row == Rounding::int8) read = quantized(row);
    else std::transform(read.begin(), read.end(), read.begin(), to_bf16);
    size_t i = 0;
    for_each(scope, k, [&] { left.at(scope).f = read[i++]; });
  });
  return contract(scope, left, contraction, absolute, [&] {
    const double right = read_operand(scope, contraction.rhs).f;
    return rounding.at(scope) == Rounding::bf16 ? to_bf16(right) : right;
  });
}

}  // namespace weft::reference

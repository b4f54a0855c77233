// Recurrences and convolutions, token by token.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "ops/harness/reference_scope.h"

namespace weft::reference {

// One head of a scan: its state, and where its sources are.
class ScanHead {
 public:
  ScanHead(StepScope& scope, const std::vector<Table<ScalarValue>>& lhs, bool absolute)
      : scope_(scope),
        scan_(*scope.region.scan),
        lhs_(lhs),
        absolute_(absolute),
        axes_(scope.graph.values[record().value].axes),
        rows_(scope.extent(row_axis())),
        columns_(scope.extent(column_axis())),
        state_(static_cast<size_t>(rows_ * columns_)) {}

  const StateRecord& record() const { return scope_.graph.states[static_cast<size_t>(scan_.state)]; }
  AxisId row_axis() const { return axes_[axes_.size() - 2]; }
  AxisId column_axis() const { return axes_.back(); }

  // All rows of the step, for the scope's head coordinates; `head`: their flat index.
  void run(int64_t head, Table<double>& result) {
    const auto* from = static_cast<const int32_t*>(scope_.args.data[record().from]);
    const auto* to = static_cast<const int32_t*>(scope_.args.data[record().to]);
    const int64_t elements = rows_ * columns_, heads = heads_count();
    auto* pool = static_cast<float*>(scope_.args.data[record().value]);
    const auto slot = [&](int32_t index) { return pool + (index * heads + head) * elements; };
    int64_t& t = scope_.coordinate[record().pos];
    for (t = 0; t < scope_.extent(record().pos); ++t) {
      if (from[t] >= 0) std::copy_n(slot(from[t]), elements, state_.begin());
      else if (from[t] == kZeroState || t == 0) std::fill(state_.begin(), state_.end(), 0.0);
      if (absolute_) {
        for (double& x : state_) x = std::fabs(x);
      }
      if (scan_.kind == Scan::Kind::convolution) convolve(result);
      else recur(result);
      if (to[t] < 0 || absolute_) continue;
      std::transform(state_.begin(), state_.end(), slot(to[t]), [](double x) { return static_cast<float>(x); });
    }
    t = 0;
  }

 private:
  int64_t heads_count() const {
    int64_t count = 1;
    if (scan_.kind == Scan::Kind::recurrence) {
      for (const AxisId axis : head_axes(scope_.graph, scan_)) count *= scope_.extent(axis);
    }
    return count;
  }
  double& state(int64_t row, int64_t column) { return state_[static_cast<size_t>(row * columns_ + column)]; }
  double at(int role) const {
    const double x = lhs_[static_cast<size_t>(role)].at(scope_).f;
    return absolute_ ? std::fabs(x) : x;
  }
  double row(int role, int64_t index) {
    scope_.coordinate[row_axis()] = index;
    return at(role);
  }
  double column(int role, int64_t index) {
    scope_.coordinate[column_axis()] = index;
    return at(role);
  }
  double& output(Table<double>& result, int64_t index) {
    scope_.coordinate[column_axis()] = index;
    return result.at(scope_);
  }
  double decay(int64_t index) {
    if (scan_.roles.decay < 0) return 1;
    scope_.coordinate[row_axis()] = index;
    return std::exp(lhs_[static_cast<size_t>(scan_.roles.decay)].at(scope_).f);
  }

  void recur(Table<double>& result) {
    const ScanRoles& roles = scan_.roles;
    const bool reads_previous = roles.bonus >= 0;
    double weight = 0;  // of the bonus term
    if (reads_previous) {
      for (int64_t i = 0; i < rows_; ++i) weight += row(roles.query, i) * row(roles.bonus, i) * row(roles.key, i);
    }
    for (int64_t j = 0; j < columns_; ++j) {
      double erased = 0, read = 0;  // b^T S of the state before, q^T S of the state that is read
      for (int64_t i = 0; i < rows_ && roles.read >= 0; ++i) erased += row(roles.read, i) * state(i, j);
      const double v = column(roles.value, j);
      for (int64_t i = 0; i < rows_; ++i) {
        double& s = state(i, j);
        if (reads_previous) read += row(roles.query, i) * s;
        s = decay(i) * s + row(roles.key, i) * v;
        if (roles.erase >= 0) s += (absolute_ ? 1 : -1) * row(roles.erase, i) * erased;
        if (!reads_previous) read += row(roles.query, i) * s;
      }
      output(result, j) = read + (reads_previous ? weight * v : 0);
    }
  }

  void convolve(Table<double>& result) {
    for (int64_t c = 0; c < columns_; ++c) {
      for (int64_t j = 0; j + 1 < rows_; ++j) state(j, c) = state(j + 1, c);
      if (rows_ > 0) state(rows_ - 1, c) = column(scan_.roles.value, c);
      double sum = 0;
      for (int64_t j = 0; j < rows_; ++j) {
        scope_.coordinate[column_axis()] = c;
        sum += row(scan_.roles.key, j) * state(j, c);
      }
      output(result, c) = sum;
    }
  }

  StepScope& scope_;
  const Scan& scan_;
  const std::vector<Table<ScalarValue>>& lhs_;
  bool absolute_;  // of the sum of absolute values, which writes no state
  std::vector<AxisId> axes_;
  int64_t rows_, columns_;
  std::vector<double> state_;
};

// What the region's body reads as contraction 0. Writes the states.
inline Table<double> scan(StepScope& scope, const std::vector<Table<ScalarValue>>& lhs, bool absolute) {
  Table<double> result(scope, scope.region.axes);
  std::vector<AxisId> heads;
  if (scope.region.scan->kind == Scan::Kind::recurrence) heads = head_axes(scope.graph, *scope.region.scan);
  int64_t head = 0;
  for_each(scope, heads, [&] { ScanHead(scope, lhs, absolute).run(head++, result); });
  return result;
}

}  // namespace weft::reference

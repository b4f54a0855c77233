// softmax of the scores along the key axis, then the weighted sum of the values.
#pragma once

#include <cmath>
#include <limits>

#include "ops/contract/reference.h"

namespace weft::reference {

// Of each row's scores and weights; see with_statistics.
struct SoftmaxStatistics {
  Table<double> log_sum_exp, largest, entropy;
};

// `scores` over query axes and key; they become the weights. A key with a score of -inf takes no part, whatever its
// value holds. `sink`: over the query axes; null: none.
inline Table<double> attend(StepScope& scope, Table<double>& scores, const Table<double>* sink,
                            const KeyAttention& attention, const std::vector<AxisId>& axes,
                            SoftmaxStatistics& statistics) {
  constexpr double kNever = -std::numeric_limits<double>::infinity();
  const AxisId key = attention.key;
  const std::vector<AxisId> query = without(scores.axes, key);
  for (Table<double>* table : {&statistics.log_sum_exp, &statistics.largest, &statistics.entropy}) {
    *table = Table<double>(scope, query);
  }
  for_each(scope, query, [&] {
    const int64_t first = scope.begin(key), keys = scope.extent(key);
    int64_t& j = scope.coordinate[key];
    double largest = kNever, of_sink = kNever;
    bool sees_any = false;
    for (j = first; j < keys; ++j) {
      const double score = scores.at(scope);
      largest = std::fmax(largest, score);
      sees_any = sees_any || score != kNever;
    }
    j = 0;
    if (sink != nullptr && sees_any) of_sink = sink->at(scope);
    largest = std::fmax(largest, of_sink);
    const double sink_weight = of_sink == kNever ? 0 : std::exp(of_sink - largest);
    double sum = sink_weight;
    for (j = first; j < keys; ++j) {
      double& score = scores.at(scope);
      score = score == kNever ? 0 : std::exp(score - largest);
      sum += score;
    }
    double entropy = sink_weight == 0 ? 0 : -(sink_weight / sum) * std::log(sink_weight / sum);
    for (j = first; j < keys; ++j) {
      double& weight = scores.at(scope);
      if (weight == 0) continue;
      weight /= sum;
      if (weight != 0) entropy -= weight * std::log(weight);
    }
    j = 0;
    statistics.log_sum_exp.at(scope) = largest + std::log(sum);
    statistics.largest.at(scope) = largest;
    statistics.entropy.at(scope) = entropy;
  });
  Table<double> result(scope, axes);
  for_each(scope, axes, [&] {
    const int64_t first = scope.begin(key), keys = scope.extent(key);
    int64_t& j = scope.coordinate[key];
    double sum = 0;
    for (j = first; j < keys; ++j) {
      const double weight = scores.at(scope);
      if (weight != 0) sum += weight * read_operand(scope, attention.value).f;
    }
    j = 0;
    result.at(scope) = sum;
  });
  return result;
}

}  // namespace weft::reference

#include "runtime/generate/estimate.h"

#include <cmath>
#include <limits>

namespace weft {

// By Welford's recurrence: with sums of squares, small differences between large numbers would be lost.
void SampleMean::add(double value) {
  ++count_;
  if (std::isinf(mean_)) return;  // more of them would make it NaN
  const double before = value - mean_;
  mean_ = std::isinf(value) ? value : mean_ + before / static_cast<double>(count_);
  squares_ += before * (value - mean_);
}

Estimate SampleMean::mean() const {
  if (count_ < 2) return {mean_, 0};
  if (std::isinf(mean_)) return {mean_, std::numeric_limits<double>::infinity()};
  return {mean_, std::sqrt(squares_ / static_cast<double>(count_) / static_cast<double>(count_ - 1))};
}

Estimate perplexity(const SampleMean& nll) {
  const Estimate mean = nll.mean();
  const double value = std::exp(mean.value);
  return {value, value * mean.error};
}

}  // namespace weft

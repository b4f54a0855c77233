// How long something took that ran several times.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/plan/statistics.h"

namespace weft {

// The sum and the least of all times, and the median of the last ones. Once room is reserved, adding one allocates
// nothing.
class RunTimes {
 public:
  static constexpr size_t kKept = 256;

  void reserve() { last_.reserve(kKept); }
  void add(double seconds) {
    if (last_.size() < kKept) last_.push_back(seconds);
    else last_[static_cast<size_t>(runs_) % kKept] = seconds;
    least_ = runs_ == 0 ? seconds : std::min(least_, seconds);
    sum_ += seconds;
    ++runs_;
  }
  void clear() {
    last_.clear();
    sum_ = least_ = 0, runs_ = 0;
  }

  int64_t runs() const { return runs_; }
  // In seconds; 0 without any run.
  double sum() const { return sum_; }
  double mean() const { return runs_ == 0 ? 0 : sum_ / static_cast<double>(runs_); }
  double least() const { return least_; }
  // Of the last kKept runs.
  double median() const { return weft::median(last_); }

 private:
  std::vector<double> last_;
  double sum_ = 0, least_ = 0;
  int64_t runs_ = 0;
};

}  // namespace weft

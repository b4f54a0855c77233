// Means over the tokens of a text, and how far they may be off.
#pragma once

#include <cstdint>

namespace weft {

struct Estimate {
  double value = 0;
  double error = 0;  // standard error; infinite where the value is
};

// The mean of the values added so far. Its standard error takes them for independent.
class SampleMean {
 public:
  void add(double value);
  int64_t count() const { return count_; }
  // 0 without any value; the error is 0 with fewer than two.
  Estimate mean() const;

 private:
  double mean_ = 0, squares_ = 0;  // squares_: the sum of squared distances from the mean
  int64_t count_ = 0;
};

// exp of a mean negative log-likelihood; the error is carried through exp to first order.
Estimate perplexity(const SampleMean& nll);

}  // namespace weft

#include "runtime/generate/estimate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace weft {
namespace {

SampleMean mean_of(std::initializer_list<double> values) {
  SampleMean mean;
  for (const double value : values) mean.add(value);
  return mean;
}

TEST(Estimate, MeanAndStandardErrorAreThoseOfTheirDefinition) {
  const SampleMean sample = mean_of({1, 2, 3, 6});
  EXPECT_EQ(sample.count(), 4);
  EXPECT_DOUBLE_EQ(sample.mean().value, 3);
  EXPECT_DOUBLE_EQ(sample.mean().error, std::sqrt((4 + 1 + 0 + 9) / 3.0 / 4.0));
  EXPECT_EQ(mean_of({5}).mean().value, 5);
  EXPECT_EQ(mean_of({5}).mean().error, 0);
  EXPECT_EQ(SampleMean().mean().value, 0);
}

// The sum of squares of these has no bit left for their differences.
TEST(Estimate, LargeValuesKeepTheirDifferences) {
  const Estimate mean = mean_of({1e9 + 1, 1e9 + 2, 1e9 + 3}).mean();
  EXPECT_DOUBLE_EQ(mean.value, 1e9 + 2);
  EXPECT_NEAR(mean.error, std::sqrt(1 / 3.0), 1e-12);
}

TEST(Estimate, AnInfiniteValueMakesBothInfinite) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const SampleMean& sample : {mean_of({1, kInfinity, 2}), mean_of({kInfinity, kInfinity, 1})}) {
    EXPECT_EQ(sample.mean().value, kInfinity);
    EXPECT_EQ(sample.mean().error, kInfinity);
    EXPECT_EQ(perplexity(sample).value, kInfinity);
  }
}

TEST(Estimate, PerplexityIsExpOfTheMean) {
  const Estimate result = perplexity(mean_of({std::log(2), std::log(8)}));
  EXPECT_NEAR(result.value, 4, 1e-12);
  EXPECT_NEAR(result.error, 4 * std::log(2), 1e-12);  // the two are log(2) from their mean
}

}  // namespace
}  // namespace weft

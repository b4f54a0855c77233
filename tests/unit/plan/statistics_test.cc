// Medians, their intervals, and what is called a difference.
#include "runtime/plan/statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace weft {
namespace {

TEST(Statistics, MedianOfAnEvenNumberIsTheMeanOfTheMiddleTwo) {
  EXPECT_EQ(median({}), 0);
  EXPECT_EQ(median({7}), 7);
  EXPECT_EQ(median({9, 1, 2}), 2);
  EXPECT_EQ(median({9, 1, 2, 4}), 3);
}

TEST(Statistics, IntervalsOfFewValuesAreTheirRangeAndOfFewerThereIsNone) {
  EXPECT_FALSE(median_interval(std::vector<double>{1, 2, 3, 4}));
  const auto five = median_interval(std::vector<double>{5, 1, 4, 2, 3});
  ASSERT_TRUE(five);
  EXPECT_EQ(five->low, 1);
  EXPECT_EQ(five->high, 5);
  const auto equal = median_interval(std::vector<double>(9, 2.5));
  EXPECT_EQ(equal->low, 2.5);
  EXPECT_EQ(equal->high, 2.5);
}

// Rates around 100 whose logarithms have this deviation; every twelfth is disturbed by another program.
std::vector<double> noisy_rates(size_t count, double deviation, std::mt19937_64& random) {
  std::normal_distribution<double> noise(0, deviation);
  std::vector<double> rates(count);
  for (double& rate : rates) rate = 100 * std::exp(noise(random)) * (random() % 12 == 0 ? 0.6 : 1);
  return rates;
}

TEST(Statistics, IntervalsHoldTheMedianAboutAsOftenAsTheySay) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal(10, 1);
  int held = 0;
  constexpr int kTrials = 400;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> values(25);
    for (double& value : values) value = normal(random);
    const Interval interval = *median_interval(values);
    EXPECT_LE(interval.low, median(values));
    EXPECT_GE(interval.high, median(values));
    held += interval.low <= 10 && 10 <= interval.high;
  }
  EXPECT_GE(held, kTrials * 91 / 100);
  EXPECT_LE(held, kTrials * 99 / 100);
}

TEST(Statistics, AnIntervalIsTheSameEachTime) {
  std::mt19937_64 random(5);
  const std::vector<double> a = noisy_rates(12, 0.05, random), b = noisy_rates(9, 0.05, random);
  EXPECT_EQ(median_interval(a)->low, median_interval(a)->low);
  EXPECT_EQ(ratio_of_medians(a, b).interval->high, ratio_of_medians(a, b).interval->high);
}

TEST(Statistics, ADifferenceIsLargeEnoughAndItsIntervalExcludesOne) {
  const auto verdict = [](double ratio, double low, double high) {
    return RateRatio{ratio, Interval{ratio, ratio}, Interval{low, high}}.verdict();
  };
  EXPECT_EQ(verdict(1.03, 1.01, 1.05), Verdict::faster);
  EXPECT_EQ(verdict(1.02, 1.005, 1.03), Verdict::no_difference);  // too small
  EXPECT_EQ(verdict(1.03, 0.99, 1.05), Verdict::no_difference);   // too uncertain
  EXPECT_EQ(verdict(0.95, 0.94, 0.97), Verdict::slower);
  EXPECT_EQ(verdict(0.95, 0.94, 1.01), Verdict::no_difference);
  EXPECT_EQ(RateRatio{0.5}.verdict(), Verdict::no_difference);  // too few samples for an interval
  EXPECT_EQ(name(Verdict::slower), "slower");
}

TEST(Statistics, WhatIsCertainIsWiderThanTheInterval) {
  std::mt19937_64 random(7);
  const RateRatio ratio = ratio_of_rounds(noisy_rates(30, 0.05, random), noisy_rates(30, 0.05, random));
  EXPECT_LT(ratio.certain->low, ratio.interval->low);
  EXPECT_LT(ratio.interval->high, ratio.certain->high);
}

// The machine slows down by a half while both sides are measured: rounds do not see it, medians of each side would be
// less certain by far.
TEST(Statistics, WhatDisturbsAWholeRoundCancels) {
  std::vector<double> a, b;
  for (int round = 0; round < 12; ++round) {
    a.push_back(100.0 / (1 + 0.05 * round));
    b.push_back(0.96 * a.back());
  }
  const RateRatio rounds = ratio_of_rounds(a, b), medians = ratio_of_medians(a, b);
  EXPECT_NEAR(rounds.ratio, 0.96, 1e-9);
  EXPECT_EQ(rounds.verdict(), Verdict::slower);
  EXPECT_EQ(medians.verdict(), Verdict::no_difference);
}

TEST(Statistics, OfTwentyComparisonsAtMostTwoAreWrong) {
  constexpr int kComparisons = 20;
  constexpr size_t kRounds = 20;
  int same = 0, slower = 0;
  std::mt19937_64 random(11);
  for (int comparison = 0; comparison < kComparisons; ++comparison) {
    const std::vector<double> a = noisy_rates(kRounds, 0.03, random);
    std::vector<double> b = noisy_rates(kRounds, 0.03, random);
    same += ratio_of_rounds(a, b).verdict() != Verdict::no_difference;
    for (double& rate : b) rate *= 0.95;
    slower += ratio_of_rounds(a, b).verdict() == Verdict::slower;
  }
  EXPECT_LE(same, 2);
  EXPECT_GE(slower, 18);
}

}  // namespace
}  // namespace weft

// What samples of a noisy figure say: their median, how far it can be trusted, and whether two sides differ.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace weft {

// Of an even number of values, the mean of the middle two; 0 of none.
double median(std::vector<double> values);

struct Interval {
  double low = 0, high = 0;
};

// The fewest samples that an interval is stated for. The median of all possible samples lies outside the range of five
// with a probability of 2 / 2^5; of fewer, more often.
constexpr size_t kFewestSamples = 5;

// The 95 % interval of the median, by the percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap,
// chapter 13): the same for the same values. Nothing for fewer than kFewestSamples.
std::optional<Interval> median_interval(std::span<const double> values);

enum class Verdict { no_difference, faster, slower };
std::string_view name(Verdict verdict);  // "no difference", "faster", "slower"

// The least change of a rate that counts as a difference. A smaller one may be due to where code and memory happen to
// lie, which differs between two builds of the same source.
constexpr double kLeastChange = 0.025;

// Rates of B as a multiple of those of A.
struct RateRatio {
  double ratio = 1;
  std::optional<Interval> interval = {};  // of 95 %
  std::optional<Interval> certain = {};   // of 99 %: several tests are compared at a time, and one may look different

  // A difference is at least kLeastChange, and `certain` excludes 1; without an interval there is none.
  Verdict verdict() const;
};

// Of rates, all positive, that were measured in turns: the median of the ratios of each round, so that what disturbs a
// whole round cancels. `a` and `b` are equally long.
RateRatio ratio_of_rounds(std::span<const double> a, std::span<const double> b);
// Of rates, all positive, that were measured independently: the ratio of their medians.
RateRatio ratio_of_medians(std::span<const double> a, std::span<const double> b);

}  // namespace weft

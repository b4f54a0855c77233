#include "runtime/plan/statistics.h"

#include <algorithm>
#include <random>

namespace weft {

namespace {

// The middle 95 % of what `draw` gives with many resamples.
template <class Draw>
Interval bootstrap(const Draw& draw) {
  constexpr size_t kResamples = 2000, kOutside = kResamples / 40;  // of these, on each side
  std::mt19937_64 random(1);
  std::vector<double> all(kResamples);
  for (double& one : all) one = draw(random);
  std::sort(all.begin(), all.end());
  return {all[kOutside], all[kResamples - 1 - kOutside]};
}

// As many of the values, each any number of times.
double median_of_resample(std::span<const double> values, std::mt19937_64& random) {
  std::vector<double> drawn(values.size());
  for (double& one : drawn) one = values[static_cast<size_t>(random() % values.size())];
  return median(std::move(drawn));
}

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

std::optional<Interval> median_interval(std::span<const double> values) {
  if (values.size() < kFewestSamples) return {};
  return bootstrap([&](std::mt19937_64& random) { return median_of_resample(values, random); });
}

std::string_view name(Verdict verdict) {
  switch (verdict) {
    case Verdict::faster: return "faster";
    case Verdict::slower: return "slower";
    default: return "no difference";
  }
}

Verdict RateRatio::verdict() const {
  if (!interval) return Verdict::no_difference;
  if (ratio >= 1 + kLeastChange && interval->low > 1) return Verdict::faster;
  if (ratio <= 1 - kLeastChange && interval->high < 1) return Verdict::slower;
  return Verdict::no_difference;
}

RateRatio ratio_of_rounds(std::span<const double> a, std::span<const double> b) {
  std::vector<double> ratios(a.size());
  for (size_t round = 0; round < ratios.size(); ++round) ratios[round] = b[round] / a[round];
  return {median(ratios), median_interval(ratios)};
}

RateRatio ratio_of_medians(std::span<const double> a, std::span<const double> b) {
  RateRatio result{median({b.begin(), b.end()}) / median({a.begin(), a.end()})};
  if (std::min(a.size(), b.size()) < kFewestSamples) return result;
  result.interval = bootstrap([&](std::mt19937_64& random) {
    const double of_a = median_of_resample(a, random);
    return median_of_resample(b, random) / of_a;
  });
  return result;
}

}  // namespace weft

#include "runtime/plan/statistics.h"

#include <algorithm>
#include <random>

namespace weft {

namespace {

// What `draw` gives with many resamples, sorted.
template <class Draw>
std::vector<double> bootstrap(const Draw& draw) {
  constexpr size_t kResamples = 2000;
  std::mt19937_64 random(1);
  std::vector<double> all(kResamples);
  for (double& one : all) one = draw(random);
  std::sort(all.begin(), all.end());
  return all;
}

// The middle `percent` of sorted values.
Interval middle(const std::vector<double>& sorted, size_t percent) {
  const size_t outside = sorted.size() * (100 - percent) / 200;  // on each side
  return {sorted[outside], sorted[sorted.size() - 1 - outside]};
}

// As many of the values, each any number of times.
double median_of_resample(std::span<const double> values, std::mt19937_64& random) {
  std::vector<double> drawn(values.size());
  for (double& one : drawn) one = values[static_cast<size_t>(random() % values.size())];
  return median(std::move(drawn));
}

template <class Draw>
RateRatio with_intervals(double ratio, size_t samples, const Draw& draw) {
  if (samples < kFewestSamples) return {ratio};
  const std::vector<double> all = bootstrap(draw);
  return {ratio, middle(all, 95), middle(all, 99)};
}

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

std::optional<Interval> median_interval(std::span<const double> values) {
  if (values.size() < kFewestSamples) return {};
  return middle(bootstrap([&](std::mt19937_64& random) { return median_of_resample(values, random); }), 95);
}

std::string_view name(Verdict verdict) {
  switch (verdict) {
    case Verdict::faster: return "faster";
    case Verdict::slower: return "slower";
    default: return "no difference";
  }
}

Verdict RateRatio::verdict() const {
  if (!certain) return Verdict::no_difference;
  if (ratio >= 1 + kLeastChange && certain->low > 1) return Verdict::faster;
  if (ratio <= 1 - kLeastChange && certain->high < 1) return Verdict::slower;
  return Verdict::no_difference;
}

RateRatio ratio_of_rounds(std::span<const double> a, std::span<const double> b) {
  std::vector<double> ratios(a.size());
  for (size_t round = 0; round < ratios.size(); ++round) ratios[round] = b[round] / a[round];
  return with_intervals(median(ratios), ratios.size(),
                        [&](std::mt19937_64& random) { return median_of_resample(ratios, random); });
}

RateRatio ratio_of_medians(std::span<const double> a, std::span<const double> b) {
  return with_intervals(median({b.begin(), b.end()}) / median({a.begin(), a.end()}), std::min(a.size(), b.size()),
                        [&](std::mt19937_64& random) {
                          const double of_a = median_of_resample(a, random);
                          return median_of_resample(b, random) / of_a;
                        });
}

}  // namespace weft

#include "runtime/files/rope_scaling.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "ops/rope/frequencies.h"

namespace weft {
namespace {

// The dimension (pair index, not whole) whose frequency makes `turns` turns in the original context.
double dimension_of(double turns, const RopeScaling& s) {
  return s.dims * std::log(s.original_context / (turns * 2 * std::numbers::pi)) / (2 * std::log(s.base));
}

void stretch_yarn(const RopeScaling& s, std::vector<double>& frequencies) {
  double low = dimension_of(s.beta_fast, s), high = dimension_of(s.beta_slow, s);
  if (s.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, s.dims - 1.0);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double slow = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] *= slow / s.factor + (1 - slow);
  }
}

void stretch_llama3(const RopeScaling& s, std::vector<double>& frequencies) {
  for (double& frequency : frequencies) {
    const double turns = s.original_context * frequency / (2 * std::numbers::pi);  // context over wavelength
    const double fast =
        std::clamp((turns - s.low_frequency_factor) / (s.high_frequency_factor - s.low_frequency_factor), 0.0, 1.0);
    frequency *= fast + (1 - fast) / s.factor;
  }
}

}  // namespace

std::vector<float> scaled_frequencies(const RopeScaling& s) {
  double base = s.base;
  if (s.type == RopeScaling::Type::ntk && s.dims > 2) base *= std::pow(s.factor, s.dims / (s.dims - 2.0));
  std::vector<double> frequencies(static_cast<size_t>(s.dims / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = rope_frequency(base, static_cast<int64_t>(i), s.dims);
  }
  switch (s.type) {
    case RopeScaling::Type::linear:
      for (double& frequency : frequencies) frequency /= s.factor;
      break;
    case RopeScaling::Type::yarn: stretch_yarn(s, frequencies); break;
    case RopeScaling::Type::llama3: stretch_llama3(s, frequencies); break;
    case RopeScaling::Type::none:
    case RopeScaling::Type::ntk: break;
  }
  return {frequencies.begin(), frequencies.end()};
}

std::vector<float> dynamic_frequencies(const RopeScaling& scaling, double stretch) {
  RopeScaling s = scaling;
  s.type = RopeScaling::Type::ntk;
  s.factor = scaling.factor * stretch - (scaling.factor - 1);
  return scaled_frequencies(s);
}

double yarn_magnitude(double factor, double m) { return factor > 1 ? 0.1 * m * std::log(factor) + 1 : 1; }

}  // namespace weft

// Comparing logits with what they should be.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace weft::test {

// max |got - want| / max |want|; infinite where the sizes differ or a difference is not a number.
inline double relative_error(std::span<const float> got, std::span<const float> want) {
  constexpr double kWrong = std::numeric_limits<double>::infinity();
  if (got.size() != want.size()) return kWrong;
  double difference = 0, largest = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double d = std::fabs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
    if (std::isnan(d)) return kWrong;
    difference = std::max(difference, d);
    largest = std::max(largest, std::fabs(static_cast<double>(want[i])));
  }
  return difference / largest;
}

}  // namespace weft::test

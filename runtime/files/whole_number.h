// Integers that were written as floats ("32.0"), as some programs do.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>

namespace weft {

// The integer that `value` equals; nothing for a fraction, NaN, or a magnitude above 2^53, where floats skip
// integers.
inline std::optional<int64_t> whole_number(double value) {
  constexpr double kLimit = 9007199254740992;  // 2^53
  if (!(std::fabs(value) <= kLimit) || std::trunc(value) != value) return std::nullopt;
  return static_cast<int64_t>(value);
}

}  // namespace weft

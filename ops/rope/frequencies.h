// What a rotary embedding turns by where no frequencies are given (Su et al. 2021, arXiv:2104.09864).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace weft {

// base^(-2 pair / dims), as a double: whoever computes in f32 rounds it once.
inline double rope_frequency(double base, int64_t pair, int64_t dims) {
  return std::pow(base, -2.0 * static_cast<double>(pair) / static_cast<double>(dims));
}

// Those of all dims/2 pairs, divided by factors[pair] where factors are given (as GGUF's rope_freqs tensor holds
// them). `dims` may be smaller than the axis: partial rotation.
inline std::vector<float> rope_frequencies(float base, int64_t dims, std::span<const float> factors = {}) {
  std::vector<float> frequencies(static_cast<size_t>(dims / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = static_cast<float>(rope_frequency(static_cast<double>(base), static_cast<int64_t>(i), dims));
    if (!factors.empty()) frequencies[i] /= factors[i];
  }
  return frequencies;
}

}  // namespace weft

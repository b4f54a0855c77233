// Rotary frequencies of contexts that were stretched after training. All derive from base^(-2i/d), i < d/2.
//
//   linear   Chen et al. 2023, arXiv:2306.15595: every frequency is divided by `factor`
//   ntk      the base becomes base * factor^(d/(d-2)): the fastest frequency stays, the slowest is divided by `factor`
//   dynamic  the same with base * (factor * stretch - (factor - 1))^(d/(d-2)), where stretch is the context's length
//   over
//            that of training (Hugging Face transformers, "dynamic")
//   yarn     Peng et al. 2023, arXiv:2309.00071, section 3.3: slow frequencies are divided, fast ones stay, between
//            `beta_fast` and `beta_slow` turns in the original context they blend; cos and sin are scaled
//   llama3   (config.json): the same idea by wavelength, between original/high and original/low
#pragma once

#include <string>
#include <vector>

namespace weft {

struct RopeScaling {
  enum class Type { none, linear, ntk, yarn, llama3 } type = Type::none;
  double base = 10000;
  int dims = 0;  // d: rotated elements of a head, even
  double factor = 1;
  double original_context = 0;                                 // yarn, llama3: tokens
  double beta_fast = 32, beta_slow = 1;                        // yarn: turns
  bool truncate = true;                                        // yarn: the blend begins and ends at whole dimensions
  double low_frequency_factor = 1, high_frequency_factor = 4;  // llama3
};

// [dims / 2]
std::vector<float> scaled_frequencies(const RopeScaling& scaling);

// As above for "dynamic", whose factor is `scaling.factor`; stretch is at least 1.
std::vector<float> dynamic_frequencies(const RopeScaling& scaling, double stretch);

// YaRN's factor of cos and sin: 0.1 * m * ln(factor) + 1 for a factor above 1.
double yarn_magnitude(double factor, double m = 1);

}  // namespace weft

// The levels of E2M1, doubled, for quantizers (core/format/quantize_search.h).
#pragma once

#include <cmath>

#include "core/format/mxfp4/mxfp4.h"

namespace weft::quantize_detail {

struct E2m1Grid {
  static constexpr float step(int i) { return static_cast<float>(kE2m1Values[i + 1] - kE2m1Values[i]); }
  static constexpr float middle(int i) { return 0.5f * static_cast<float>(kE2m1Values[i] + kE2m1Values[i + 1]); }

  float nearest(float x) const {
    const float size = std::fabs(x);
    float level = 0;
    for (int i = 0; i < 7; ++i) level += size > middle(i) ? step(i) : 0.0f;
    return std::copysign(level, x);
  }
  // The number that stands for the nearest level.
  int index(float x) const {
    const float size = std::fabs(x);
    int number = 0;
    for (int i = 0; i < 7; ++i) number += size > middle(i) ? 1 : 0;
    return x < 0 && number > 0 ? number + 8 : number;
  }
  float reach() const { return 12; }
};

}  // namespace weft::quantize_detail

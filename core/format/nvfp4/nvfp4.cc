#include "core/format/nvfp4/nvfp4.h"

#include "core/format/mxfp4/e2m1_grid.h"
#include "core/format/quantize_search.h"

namespace weft {

using namespace quantize_detail;

void FormatTraits<Format::nvfp4>::encode(const float* in, size_t blocks, uint8_t* out) {
  constexpr E2m1Grid grid;
  for (size_t run = 0; run < 4 * blocks; ++run, in += kRun) {
    uint8_t* const bytes = out + run / 4 * kBytes;
    uint8_t* const values = bytes + kValues + run % 4 * 8;
    const Normalized<kRun> block(in);
    int bits = 0;
    float inverse = 0;
    if (!block.zero) {
      const float fitted = std::ldexp(std::fabs(fit_scale<kRun>(grid, block.data()).scale), block.exponent);
      const int below = scale_below(fitted);
      float least = INFINITY;
      for (const int candidate : {below, below + 1, below - 1}) {
        if (candidate < 0 || candidate > kLargestScale) continue;
        const float scale = std::ldexp(halved_scale(static_cast<uint8_t>(candidate)), -block.exponent);
        const float error = scale_error<kRun>(grid, block.data(), scale);
        if (error < least) {
          least = error;
          bits = candidate;
          inverse = inverse_or_zero(scale);
        }
      }
    }
    bytes[kScales + run % 4] = static_cast<uint8_t>(bits);
    for (size_t i = 0; i < 8; ++i) {
      const int low = grid.index(block.values[i] * inverse), high = grid.index(block.values[i + 8] * inverse);
      values[i] = static_cast<uint8_t>(low | high << 4);
    }
  }
}

}  // namespace weft

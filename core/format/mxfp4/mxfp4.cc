#include "core/format/mxfp4/mxfp4.h"

#include "core/format/mxfp4/e2m1_grid.h"
#include "core/format/quantize_32.h"

namespace weft {

using namespace quantize_detail;

void FormatTraits<Format::mxfp4>::encode(const float* in, size_t blocks, uint8_t* out) {
  constexpr E2m1Grid grid;
  for (; blocks-- > 0; in += kSmallBlock, out += kBytes) {
    const Normalized<kSmallBlock> block(in);
    std::array<int, kSmallBlock> levels{};
    int exponent = 0;
    if (!block.zero) {
      // The largest magnitude is in [0.5, 1): 2^-4 reaches 0.75, the others lose steps or cut.
      float best = 0, least = INFINITY;
      for (const int power : {-4, -3, -5}) {
        const int candidate = std::clamp(power + block.exponent + 128, 0, 252);  // 12 * 2^124 is finite
        const float scale = std::ldexp(1.0f, candidate - 128 - block.exponent);
        const float error = scale_error<kSmallBlock>(grid, block.data(), scale);
        if (error < least) {
          least = error;
          best = scale;
          exponent = candidate;
        }
      }
      for (size_t i = 0; i < kSmallBlock; ++i) levels[i] = grid.index(block.values[i] / best);
    }
    out[kScale] = static_cast<uint8_t>(exponent);
    put_nibbles(levels, out + kValues);
  }
}

}  // namespace weft

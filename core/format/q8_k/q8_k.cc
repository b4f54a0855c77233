#include "core/format/q8_k/q8_k.h"

#include "core/format/quantize_search.h"

namespace weft {

using namespace quantize_detail;

void FormatTraits<Format::q8_k>::encode(const float* in, size_t blocks, uint8_t* out) {
  constexpr UniformGrid grid{-127, 127};
  for (; blocks-- > 0; in += kSuperBlock, out += kBytes) {
    float largest = 0;
    for (int i = 0; i < kSuperBlock; ++i) largest = std::max(largest, std::fabs(in[i]));
    const float scale = largest / 127.0f;
    store_as(out + kScale, scale);
    // In double: the inverse of a subnormal scale overflows f32.
    const double inverse = scale != 0 ? 1.0 / static_cast<double>(scale) : 0.0;
    int16_t sums[16] = {};
    for (int i = 0; i < kSuperBlock; ++i) {
      const float q = grid.nearest(static_cast<float>(static_cast<double>(in[i]) * inverse));
      out[kValues + static_cast<size_t>(i)] = static_cast<uint8_t>(static_cast<int8_t>(q));
      sums[i / 16] = static_cast<int16_t>(sums[i / 16] + static_cast<int>(q));
    }
    std::memcpy(out + kSums, sums, sizeof sums);
  }
}

}  // namespace weft

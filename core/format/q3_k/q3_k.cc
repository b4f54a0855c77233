#include "core/format/q3_k/q3_k.h"

#include "core/format/quantize_k_scale.h"

namespace weft {

using namespace quantize_detail;

void FormatTraits<Format::q3_k>::encode(const float* in, size_t blocks, uint8_t* out) {
  for (; blocks-- > 0; in += kSuperBlock, out += kBytes) {
    const auto block = scaled_groups<16>(UniformGrid{-4, 3}, in, -32, 31);
    std::memset(out, 0, kBytes);
    for (size_t i = 0; i < kSuperBlock; ++i) {
      const auto level = static_cast<unsigned>(block.levels[i]);
      const size_t run = i % 128 / 32;
      out[kLow + i / 128 * 32 + i % 32] |= static_cast<uint8_t>((level & 3u) << (2 * run));
      out[kHigh + i % 32] |= static_cast<uint8_t>((level >> 2) << (i / 32));
    }
    for (size_t g = 0; g < 16; ++g) {
      const auto s = static_cast<unsigned>(block.group_scales[g] + 32);
      out[kScales + g % 8] |= static_cast<uint8_t>((s & 15u) << (g / 8 * 4));
      out[kScales + 8 + g % 4] |= static_cast<uint8_t>((s >> 4) << (g / 4 * 2));
    }
    store_as(out + kScale, block.scale);
  }
}

}  // namespace weft

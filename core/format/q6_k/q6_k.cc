#include "core/format/q6_k/q6_k.h"

#include "core/format/quantize_k_scale.h"

namespace weft {

using namespace quantize_detail;

void FormatTraits<Format::q6_k>::encode(const float* in, size_t blocks, uint8_t* out) {
  for (; blocks-- > 0; in += kSuperBlock, out += kBytes) {
    const auto block = scaled_groups<16>(UniformGrid{-32, 31}, in, -128, 127);
    std::memset(out, 0, kBytes);
    for (size_t i = 0; i < kSuperBlock; ++i) {
      const auto level = static_cast<unsigned>(block.levels[i]);
      const size_t half = i / 128, run = i % 128 / 32;
      out[kLow + half * 64 + i % 64] |= static_cast<uint8_t>((level & 15u) << (run / 2 * 4));
      out[kHigh + half * 32 + i % 32] |= static_cast<uint8_t>((level >> 4) << (2 * run));
    }
    for (size_t g = 0; g < 16; ++g) out[kScales + g] = static_cast<uint8_t>(block.group_scales[g]);
    store_as(out + kScale, block.scale);
  }
}

}  // namespace weft

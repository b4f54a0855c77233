#include "core/format/q2_k/q2_k.h"

#include "core/format/quantize_k_offset.h"

namespace weft {

using namespace quantize_detail;

void FormatTraits<Format::q2_k>::encode(const float* in, size_t blocks, uint8_t* out) {
  for (; blocks-- > 0; in += kSuperBlock, out += kBytes) {
    const auto block = offset_groups<16>(UniformGrid{0, 3}, in, 15);
    std::memset(out, 0, kBytes);
    for (size_t g = 0; g < 16; ++g) {
      out[kScales + g] = static_cast<uint8_t>(block.scales[g] | block.minimums[g] << 4);
    }
    for (size_t i = 0; i < kSuperBlock; ++i) {
      out[kLow + i / 128 * 32 + i % 32] |= static_cast<uint8_t>(block.levels[i] << (i % 128 / 32 * 2));
    }
    store_as(out + kScale, block.scale);
    store_as(out + kMin, block.minimum);
  }
}

}  // namespace weft

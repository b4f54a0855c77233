#include "core/format/iq4_xs/iq4_xs.h"

#include "core/format/quantize_k_scale.h"

namespace weft {

using namespace quantize_detail;

void FormatTraits<Format::iq4_xs>::encode(const float* in, size_t blocks, uint8_t* out) {
  for (; blocks-- > 0; in += kSuperBlock, out += kBytes) {
    const auto block = scaled_groups<32>(NonlinearGrid{}, in, -32, 31);
    std::memset(out, 0, kBytes);
    store_as(out + kScale, block.scale);
    unsigned high = 0;
    for (size_t g = 0; g < 8; ++g) {
      const auto s = static_cast<unsigned>(block.group_scales[g] + 32);
      out[kScalesLow + g / 2] |= static_cast<uint8_t>((s & 15u) << (g % 2 * 4));
      high |= (s >> 4) << (2 * g);
      for (size_t i = 0; i < 16; ++i) {
        out[kValues + 16 * g + i] = static_cast<uint8_t>(block.levels[32 * g + i] | block.levels[32 * g + 16 + i] << 4);
      }
    }
    store_as(out + kScalesHigh, static_cast<uint16_t>(high));
  }
}

}  // namespace weft

#include "core/format/q8_0/q8_0.h"

#include "core/format/quantize_32.h"

namespace weft {

using namespace quantize_detail;

void FormatTraits<Format::q8_0>::encode(const float* in, size_t blocks, uint8_t* out) {
  // With 255 levels a search would gain too little for its time: the largest magnitude maps to 127.
  constexpr UniformGrid grid{-127, 127};
  for (; blocks-- > 0; in += kSmallBlock, out += kBytes) {
    const Normalized<kSmallBlock> block(in);
    float largest = 0;
    for (const float value : block.values) largest = std::max(largest, std::fabs(value));
    const uint16_t bits = block.stored(largest / 127.0f);
    const float inverse = inverse_or_zero(block.loaded(bits));
    store_as(out + kScale, bits);
    for (size_t i = 0; i < kSmallBlock; ++i) {
      out[kValues + i] = static_cast<uint8_t>(static_cast<int8_t>(grid.nearest(block.values[i] * inverse)));
    }
  }
}

}  // namespace weft

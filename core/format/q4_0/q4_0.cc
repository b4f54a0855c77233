#include "core/format/q4_0/q4_0.h"

#include "core/format/quantize_32.h"

namespace weft {

using namespace quantize_detail;

void FormatTraits<Format::q4_0>::encode(const float* in, size_t blocks, uint8_t* out) {
  std::array<int, kSmallBlock> levels;
  for (; blocks-- > 0; in += kSmallBlock, out += kBytes) {
    store_as(out + kScale, scaled_block(UniformGrid{-8, 7}, in, levels));
    put_nibbles(levels, out + kValues);
  }
}

}  // namespace weft

#include "core/format/q5_0/q5_0.h"

#include "core/format/quantize_32.h"

namespace weft {

using namespace quantize_detail;

void FormatTraits<Format::q5_0>::encode(const float* in, size_t blocks, uint8_t* out) {
  std::array<int, kSmallBlock> levels;
  for (; blocks-- > 0; in += kSmallBlock, out += kBytes) {
    store_as(out + kScale, scaled_block(UniformGrid{-16, 15}, in, levels));
    store_as(out + kFifth, put_nibbles(levels, out + kValues));
  }
}

}  // namespace weft

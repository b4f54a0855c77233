#include "core/format/q5_1/q5_1.h"

#include "core/format/quantize_32.h"

namespace weft {

using namespace quantize_detail;

void FormatTraits<Format::q5_1>::encode(const float* in, size_t blocks, uint8_t* out) {
  std::array<int, kSmallBlock> levels;
  for (; blocks-- > 0; in += kSmallBlock, out += kBytes) {
    const OffsetBits bits = offset_block(UniformGrid{0, 31}, in, levels);
    store_as(out + kScale, bits.scale);
    store_as(out + kOffset, bits.offset);
    store_as(out + kFifth, put_nibbles(levels, out + kValues));
  }
}

}  // namespace weft

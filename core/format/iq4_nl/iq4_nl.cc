#include "core/format/iq4_nl/iq4_nl.h"

#include "core/format/quantize_32.h"

namespace weft {

using namespace quantize_detail;

void FormatTraits<Format::iq4_nl>::encode(const float* in, size_t blocks, uint8_t* out) {
  std::array<int, kSmallBlock> levels;
  for (; blocks-- > 0; in += kSmallBlock, out += kBytes) {
    store_as(out + kScale, scaled_block(NonlinearGrid{}, in, levels));
    put_nibbles(levels, out + kValues);
  }
}

}  // namespace weft

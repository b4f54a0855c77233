#include "core/format/q4_k/q4_k.h"

#include "core/format/quantize_k_offset.h"

namespace weft {

using namespace quantize_detail;

void FormatTraits<Format::q4_k>::encode(const float* in, size_t blocks, uint8_t* out) {
  for (; blocks-- > 0; in += kSuperBlock, out += kBytes) {
    const auto block = offset_groups<32>(UniformGrid{0, 15}, in, 63);
    store_as(out + SixBitPairs::kScale, block.scale);
    store_as(out + SixBitPairs::kMin, block.minimum);
    put_pairs(block, out + SixBitPairs::kPairs);
    put_low_bits(block.levels, out + kLow);
  }
}

}  // namespace weft

#include "core/format/q5_k/q5_k.h"

#include "core/format/quantize_k_offset.h"

namespace weft {

using namespace quantize_detail;

void FormatTraits<Format::q5_k>::encode(const float* in, size_t blocks, uint8_t* out) {
  for (; blocks-- > 0; in += kSuperBlock, out += kBytes) {
    const auto block = offset_groups<32>(UniformGrid{0, 31}, in, 63);
    store_as(out + SixBitPairs::kScale, block.scale);
    store_as(out + SixBitPairs::kMin, block.minimum);
    put_pairs(block, out + SixBitPairs::kPairs);
    std::memset(out + kHigh, 0, 32);
    for (size_t i = 0; i < kSuperBlock; ++i) {
      out[kHigh + i % 32] |= static_cast<uint8_t>((block.levels[i] >> 4) << (i / 32));
    }
    put_low_bits(block.levels, out + kLow);
  }
}

}  // namespace weft

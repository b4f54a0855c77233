// Q4_K: 8 runs of 32 numbers of 4 bits. A run has a scale and a minimum of 6 bits, times the block's f16 scale and
// minimum.
#pragma once

#include "core/format/format_traits.h"

namespace weft {

template <>
struct FormatTraits<Format::q4_k> {
  static constexpr std::string_view kName = "Q4_K";
  static constexpr uint32_t kElements = 256, kBytes = 144;
  static constexpr bool kIsFloat = true;
  static constexpr std::optional<uint32_t> kGgufType = 12, kFileType = 14;
  static constexpr size_t kLow = SixBitPairs::kBytes;
  static constexpr BlockSection kSections[] = {
      {SixBitPairs::kMin, 2}, {SixBitPairs::kScale, 2}, {SixBitPairs::kPairs, 12}, {kLow, 128}};

  struct Block {
    const uint8_t* bytes;
    SixBitPairs pairs{bytes};
    float at(size_t i) const { return pairs.value(i / 32, paired_nibble_at(bytes + kLow, i)); }
  };

  static void encode(const float* in, size_t blocks, uint8_t* out);
  static void set_scales(float value, uint8_t* bytes) {
    store_as(bytes + SixBitPairs::kScale, f32_to_f16(value));
    store_as(bytes + SixBitPairs::kMin, f32_to_f16(value));
  }
};

}  // namespace weft

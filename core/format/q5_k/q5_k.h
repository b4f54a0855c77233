// Q5_K: as Q4_K, with a fifth bit for each number: bit r of 32 bytes belongs to run r.
#pragma once

#include "core/format/format_traits.h"

namespace weft {

template <>
struct FormatTraits<Format::q5_k> {
  static constexpr std::string_view kName = "Q5_K";
  static constexpr uint32_t kElements = 256, kBytes = 176;
  static constexpr bool kIsFloat = true;
  static constexpr std::optional<uint32_t> kGgufType = 13, kFileType = 16;
  static constexpr size_t kHigh = SixBitPairs::kBytes, kLow = kHigh + 32;
  static constexpr BlockSection kSections[] = {
      {SixBitPairs::kMin, 2}, {SixBitPairs::kScale, 2}, {SixBitPairs::kPairs, 12}, {kHigh, 32}, {kLow, 128}};

  struct Block {
    const uint8_t* bytes;
    SixBitPairs pairs{bytes};
    float at(size_t i) const {
      const int high = bytes[kHigh + i % 32] >> (i / 32) & 1;
      return pairs.value(i / 32, paired_nibble_at(bytes + kLow, i) | high << 4);
    }
  };

  static void encode(const float* in, size_t blocks, uint8_t* out);
  static void set_scales(float value, uint8_t* bytes) {
    store_as(bytes + SixBitPairs::kScale, f32_to_f16(value));
    store_as(bytes + SixBitPairs::kMin, f32_to_f16(value));
  }
};

}  // namespace weft

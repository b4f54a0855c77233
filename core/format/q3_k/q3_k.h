// Q3_K: 16 runs of 16 numbers of 3 bits, stored 4 higher. A run has a 6-bit scale, stored 32 higher, times the
// block's f16 scale. The highest bits of the numbers lie apart: bit r of 32 bytes belongs to 32 numbers, from 32 r on.
#pragma once

#include "core/format/format_traits.h"

namespace weft {

template <>
struct FormatTraits<Format::q3_k> {
  static constexpr std::string_view kName = "Q3_K";
  static constexpr uint32_t kElements = 256, kBytes = 110;
  static constexpr bool kIsFloat = true;
  static constexpr std::optional<uint32_t> kGgufType = 11, kFileType = 11;
  static constexpr size_t kHigh = 0, kLow = 32, kScales = 96, kScale = 108;

  // Twelve bytes: 0..7 hold the low four bits of scales 0..7 and, above them, of scales 8..15; 8..11 hold the high two
  // bits of scales j, j + 4, j + 8 and j + 12, from the lowest bits up.
  static void unpack_scales(const uint8_t* bytes, int8_t* scales) {
    const uint32_t low[2] = {load_as<uint32_t>(bytes + kScales), load_as<uint32_t>(bytes + kScales + 4)};
    const auto high = load_as<uint32_t>(bytes + kScales + 8);
    const uint32_t six[4] = {
        (low[0] & 0x0f0f0f0fu) | (high << 4 & 0x30303030u), (low[1] & 0x0f0f0f0fu) | (high << 2 & 0x30303030u),
        (low[0] >> 4 & 0x0f0f0f0fu) | (high & 0x30303030u), (low[1] >> 4 & 0x0f0f0f0fu) | (high >> 2 & 0x30303030u)};
    std::memcpy(scales, six, 16);
    for (int i = 0; i < 16; ++i) scales[i] = static_cast<int8_t>(scales[i] - 32);
  }
  static constexpr BlockSection kSections[] = {{kScale, 2}, {kScales, 12}, {kHigh, 32}, {kLow, 64}};

  struct Block {
    const uint8_t* bytes;
    float scale = half_at(bytes + kScale);
    int8_t scales[16];
    explicit Block(const uint8_t* from) : bytes(from) { unpack_scales(bytes, scales); }
    float at(size_t i) const {
      const int high = bytes[kHigh + i % 32] >> (i / 32) & 1;
      const size_t grain = i / 16;
      return scale * static_cast<float>(scales[grain]) *
             static_cast<float>(bit_pair_at(bytes + kLow, i) + 4 * high - 4);
    }
  };

  static void encode(const float* in, size_t blocks, uint8_t* out);
  static void set_scales(float value, uint8_t* bytes) { store_as(bytes + kScale, f32_to_f16(value)); }
};

}  // namespace weft

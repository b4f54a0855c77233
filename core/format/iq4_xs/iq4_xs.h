// IQ4_XS: 8 runs of 32 numbers like those of IQ4_NL. A run has a 6-bit scale, stored 32 higher, times the block's f16
// scale.
#pragma once

#include "core/format/format_traits.h"

namespace weft {

template <>
struct FormatTraits<Format::iq4_xs> {
  static constexpr std::string_view kName = "IQ4_XS";
  static constexpr uint32_t kElements = 256, kBytes = 136;
  static constexpr bool kIsFloat = true;
  static constexpr std::optional<uint32_t> kGgufType = 23, kFileType = 30;
  static constexpr size_t kScale = 0, kScalesHigh = 2, kScalesLow = 4, kValues = 8;

  // The low four bits of the runs' scales are in pairs, the high two bits in one 16-bit number.
  static void unpack_scales(const uint8_t* bytes, int8_t* scales) {
    const auto high = load_as<uint16_t>(bytes + kScalesHigh);
    for (int i = 0; i < 8; ++i) {
      const int low = bytes[kScalesLow + static_cast<size_t>(i) / 2] >> (4 * (i % 2)) & 15;
      scales[i] = static_cast<int8_t>((low | (high >> (2 * i) & 3) << 4) - 32);
    }
  }
  static constexpr BlockSection kSections[] = {{kScale, 2}, {kScalesHigh, 2}, {kScalesLow, 4}, {kValues, 128}};

  struct Block {
    const uint8_t* bytes;
    float scale = half_at(bytes + kScale);
    int8_t scales[8];
    explicit Block(const uint8_t* from) : bytes(from) { unpack_scales(bytes, scales); }
    float at(size_t i) const {
      const size_t run = i / 32;
      const auto number = static_cast<size_t>(nibble_at(bytes + kValues + run * 16, i % 32));
      return scale * static_cast<float>(scales[run]) * static_cast<float>(kIq4Values[number]);
    }
  };

  static void encode(const float* in, size_t blocks, uint8_t* out);
  static void set_scales(float value, uint8_t* bytes) { store_as(bytes + kScale, f32_to_f16(value)); }
};

}  // namespace weft

// IQ4_NL: 32 numbers of 4 bits, which stand for values that lie closer together near 0, and an f16 scale.
#pragma once

#include "core/format/format_traits.h"

namespace weft {

template <>
struct FormatTraits<Format::iq4_nl> {
  static constexpr std::string_view kName = "IQ4_NL";
  static constexpr uint32_t kElements = 32, kBytes = 18;
  static constexpr bool kIsFloat = true;
  static constexpr std::optional<uint32_t> kGgufType = 20, kFileType = 25;
  static constexpr size_t kScale = 0, kValues = 2;
  static constexpr BlockSection kSections[] = {{kScale, 2}, {kValues, 16}};

  struct Block {
    const uint8_t* bytes;
    float scale = half_at(bytes + kScale);
    float at(size_t i) const {
      const auto number = static_cast<size_t>(nibble_at(bytes + kValues, i));
      return scale * static_cast<float>(kIq4Values[number]);
    }
  };

  static void encode(const float* in, size_t blocks, uint8_t* out);
  static void set_scales(float value, uint8_t* bytes) { store_as(bytes + kScale, f32_to_f16(value)); }
};

}  // namespace weft

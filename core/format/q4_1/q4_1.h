// Q4_1: 32 numbers of 4 bits, an f16 scale, and an f16 offset that is added.
#pragma once

#include "core/format/format_traits.h"

namespace weft {

template <>
struct FormatTraits<Format::q4_1> {
  static constexpr std::string_view kName = "Q4_1";
  static constexpr uint32_t kElements = 32, kBytes = 20;
  static constexpr bool kIsFloat = true;
  static constexpr std::optional<uint32_t> kGgufType = 3, kFileType = 3;
  static constexpr size_t kScale = 0, kOffset = 2, kValues = 4;
  static constexpr BlockSection kSections[] = {{kOffset, 2}, {kScale, 2}, {kValues, 16}};

  struct Block {
    const uint8_t* bytes;
    float scale = half_at(bytes + kScale), offset = half_at(bytes + kOffset);
    float at(size_t i) const { return scale * static_cast<float>(nibble_at(bytes + kValues, i)) + offset; }
  };

  static void encode(const float* in, size_t blocks, uint8_t* out);
  static void set_scales(float value, uint8_t* bytes) {
    store_as(bytes + kScale, f32_to_f16(value));
    store_as(bytes + kOffset, f32_to_f16(value));
  }
};

}  // namespace weft

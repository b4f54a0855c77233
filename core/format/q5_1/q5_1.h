// Q5_1: 32 numbers of 5 bits, an f16 scale, and an f16 offset that is added.
#pragma once

#include "core/format/format_traits.h"

namespace weft {

template <>
struct FormatTraits<Format::q5_1> {
  static constexpr std::string_view kName = "Q5_1";
  static constexpr uint32_t kElements = 32, kBytes = 24;
  static constexpr bool kIsFloat = true;
  static constexpr std::optional<uint32_t> kGgufType = 7, kFileType = 9;
  static constexpr size_t kScale = 0, kOffset = 2, kFifth = 4, kValues = 8;
  static constexpr BlockSection kSections[] = {{kOffset, 2}, {kScale, 2}, {kFifth, 4, 0, true}, {kValues, 16}};

  struct Block {
    const uint8_t* bytes;
    float scale = half_at(bytes + kScale), offset = half_at(bytes + kOffset);
    uint32_t fifth = load_as<uint32_t>(bytes + kFifth);
    float at(size_t i) const { return scale * static_cast<float>(five_bits_at(bytes + kValues, fifth, i)) + offset; }
  };

  static void encode(const float* in, size_t blocks, uint8_t* out);
  static void set_scales(float value, uint8_t* bytes) {
    store_as(bytes + kScale, f32_to_f16(value));
    store_as(bytes + kOffset, f32_to_f16(value));
  }
};

}  // namespace weft

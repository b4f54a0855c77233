// Q5_0: 32 numbers of 5 bits, stored 16 higher, and an f16 scale.
#pragma once

#include "core/format/format_traits.h"

namespace weft {

template <>
struct FormatTraits<Format::q5_0> {
  static constexpr std::string_view kName = "Q5_0";
  static constexpr uint32_t kElements = 32, kBytes = 22;
  static constexpr bool kIsFloat = true;
  static constexpr std::optional<uint32_t> kGgufType = 6, kFileType = 8;
  static constexpr size_t kScale = 0, kFifth = 2, kValues = 6;
  static constexpr BlockSection kSections[] = {{kScale, 2}, {kFifth, 4, 0, true}, {kValues, 16}};

  struct Block {
    const uint8_t* bytes;
    float scale = half_at(bytes + kScale);
    uint32_t fifth = load_as<uint32_t>(bytes + kFifth);
    float at(size_t i) const { return scale * static_cast<float>(five_bits_at(bytes + kValues, fifth, i) - 16); }
  };

  static void encode(const float* in, size_t blocks, uint8_t* out);
  static void set_scales(float value, uint8_t* bytes) { store_as(bytes + kScale, f32_to_f16(value)); }
};

}  // namespace weft

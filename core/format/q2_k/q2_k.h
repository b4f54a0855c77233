// Q2_K: 16 runs of 16 numbers of 2 bits. A run has a 4-bit scale and, in the same byte, a 4-bit minimum, times the
// block's f16 scale and minimum.
#pragma once

#include "core/format/format_traits.h"

namespace weft {

template <>
struct FormatTraits<Format::q2_k> {
  static constexpr std::string_view kName = "Q2_K";
  static constexpr uint32_t kElements = 256, kBytes = 84;
  static constexpr bool kIsFloat = true;
  static constexpr std::optional<uint32_t> kGgufType = 10, kFileType = 10;
  static constexpr size_t kScales = 0, kLow = 16, kScale = 80, kMin = 82;
  static constexpr BlockSection kSections[] = {{kMin, 2}, {kScale, 2}, {kScales, 16}, {kLow, 64}};

  struct Block {
    const uint8_t* bytes;
    float scale = half_at(bytes + kScale), minimum = half_at(bytes + kMin);
    float at(size_t i) const {
      const int own = bytes[kScales + i / 16];
      return scale * static_cast<float>(own & 15) * static_cast<float>(bit_pair_at(bytes + kLow, i)) -
             minimum * static_cast<float>(own >> 4);
    }
  };

  static void encode(const float* in, size_t blocks, uint8_t* out);
  static void set_scales(float value, uint8_t* bytes) {
    store_as(bytes + kScale, f32_to_f16(value));
    store_as(bytes + kMin, f32_to_f16(value));
  }
};

}  // namespace weft

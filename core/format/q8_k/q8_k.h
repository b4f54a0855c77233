// Q8_K: 256 numbers of 8 bits and an f32 scale. Sums of 16 numbers each follow: derived, so not read.
#pragma once

#include "core/format/format_traits.h"

namespace weft {

template <>
struct FormatTraits<Format::q8_k> {
  static constexpr std::string_view kName = "Q8_K";
  static constexpr uint32_t kElements = 256, kBytes = 292;
  static constexpr bool kIsFloat = true;
  static constexpr std::optional<uint32_t> kGgufType = 15, kFileType = {};
  static constexpr size_t kScale = 0, kValues = 4, kSums = 260;
  static constexpr BlockSection kSections[] = {{kScale, 4}, {kSums, 32}, {kValues, 256}};

  struct Block {
    const uint8_t* bytes;
    float scale = load_as<float>(bytes + kScale);
    float at(size_t i) const { return scale * static_cast<float>(static_cast<int8_t>(bytes[kValues + i])); }
  };

  static void encode(const float* in, size_t blocks, uint8_t* out);
  static void set_scales(float value, uint8_t* bytes) { store_as(bytes + kScale, value); }
};

}  // namespace weft

// F32: IEEE 754 binary32.
#pragma once

#include "core/format/format_traits.h"

namespace weft {

template <>
struct FormatTraits<Format::f32> {
  static constexpr std::string_view kName = "F32";
  static constexpr uint32_t kElements = 1, kBytes = 4;
  static constexpr bool kIsFloat = true;
  static constexpr std::optional<uint32_t> kGgufType = 0, kFileType = 0;

  struct Block {
    const uint8_t* bytes;
    float at(size_t) const { return load_as<float>(bytes); }
  };

  static void encode(const float* in, size_t blocks, uint8_t* out) {
    for (size_t i = 0; i < blocks; ++i) store_as(out + kBytes * i, in[i]);
  }
};

}  // namespace weft

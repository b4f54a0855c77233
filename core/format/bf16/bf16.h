// BF16: the upper half of binary32; encoding rounds to nearest, ties to even.
#pragma once

#include "core/format/format_traits.h"

namespace weft {

template <>
struct FormatTraits<Format::bf16> {
  static constexpr std::string_view kName = "BF16";
  static constexpr uint32_t kElements = 1, kBytes = 2;
  static constexpr bool kIsFloat = true;
  static constexpr std::optional<uint32_t> kGgufType = 30, kFileType = 32;

  struct Block {
    const uint8_t* bytes;
    float at(size_t) const { return bf16_to_f32(load_as<uint16_t>(bytes)); }
  };

  static void encode(const float* in, size_t blocks, uint8_t* out) {
    for (size_t i = 0; i < blocks; ++i) store_as(out + kBytes * i, f32_to_bf16(in[i]));
  }
};

}  // namespace weft

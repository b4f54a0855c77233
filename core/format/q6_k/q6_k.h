// Q6_K: 16 runs of 16 numbers of 6 bits, stored 32 higher. A run has an 8-bit scale, times the block's f16 scale.
// Numbers lie in two halves of 128, in four parts of 32. Low bits: 64 bytes a half, part r in bytes 32 * (r % 2) ...,
// in the low four bits for r < 2. High bits: 32 bytes a half, part r in bit pair r.
#pragma once

#include "core/format/format_traits.h"

namespace weft {

template <>
struct FormatTraits<Format::q6_k> {
  static constexpr std::string_view kName = "Q6_K";
  static constexpr uint32_t kElements = 256, kBytes = 210;
  static constexpr bool kIsFloat = true;
  static constexpr std::optional<uint32_t> kGgufType = 14, kFileType = 18;
  static constexpr size_t kLow = 0, kHigh = 128, kScales = 192, kScale = 208;
  static constexpr BlockSection kSections[] = {{kScale, 2}, {kScales, 16},    {kHigh, 32},
                                               {kLow, 64},  {kHigh + 32, 32}, {kLow + 64, 64}};

  struct Block {
    const uint8_t* bytes;
    float scale = half_at(bytes + kScale);
    float at(size_t i) const {
      const size_t half = i / 128, part = i % 128 / 32;
      const int low = bytes[kLow + half * 64 + part % 2 * 32 + i % 32] >> (part / 2 * 4) & 15;
      const int q = low | bit_pair_at(bytes + kHigh, i) << 4;
      const auto own = static_cast<int8_t>(bytes[kScales + i / 16]);
      return scale * static_cast<float>(own) * static_cast<float>(q - 32);
    }
  };

  static void encode(const float* in, size_t blocks, uint8_t* out);
  static void set_scales(float value, uint8_t* bytes) { store_as(bytes + kScale, f32_to_f16(value)); }
};

}  // namespace weft

// MXFP4: 32 floats of 4 bits (E2M1) and a scale that is a power of two (E8M0), as the OCP Microscaling Formats
// Specification 1.0 has them. As in ggml, the floats are doubled to be integers, the scale is halved, and the byte that
// the specification calls NaN is the power that follows.
#pragma once

#include <bit>
#include <cmath>

#include "core/format/format_traits.h"

namespace weft {

// Twice the numbers of E2M1: a sign, two bits of exponent, one of mantissa.
alignas(16) inline constexpr int8_t kE2m1Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

template <>
struct FormatTraits<Format::mxfp4> {
  static constexpr std::string_view kName = "MXFP4";
  static constexpr uint32_t kElements = 32, kBytes = 17;
  static constexpr bool kIsFloat = true;
  // File type 38 says that experts alone are MXFP4.
  static constexpr std::optional<uint32_t> kGgufType = 39, kFileType = {};
  static constexpr size_t kScale = 0, kValues = 1;

  // 2^(exponent - 128), of which the first two are subnormal.
  static float halved_scale(uint8_t exponent) {
    return std::bit_cast<float>(exponent < 2 ? 0x00200000u << exponent : (exponent - 1u) << 23);
  }
  static constexpr BlockSection kSections[] = {{kScale, 1}, {kValues, 16}};

  struct Block {
    const uint8_t* bytes;
    float scale = halved_scale(bytes[kScale]);
    float at(size_t i) const {
      return scale * static_cast<float>(kE2m1Values[static_cast<size_t>(nibble_at(bytes + kValues, i))]);
    }
  };

  static void encode(const float* in, size_t blocks, uint8_t* out);
  static void set_scales(float value, uint8_t* bytes) {
    const int exponent = std::isfinite(value) && value != 0 ? std::ilogb(value) + 128 : 0;
    bytes[kScale] = static_cast<uint8_t>(exponent < 0 ? 0 : exponent);
  }
};

}  // namespace weft

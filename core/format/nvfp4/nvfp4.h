// NVFP4: 4 runs of 16 floats of 4 bits (E2M1), each with a scale of 8 bits (E4M3 without its sign). As in ggml, the
// floats are doubled to be integers, the scales are halved, and E4M3's NaN is a scale of 0.
#pragma once

#include <bit>
#include <cmath>

#include "core/format/format_traits.h"
#include "core/format/mxfp4/mxfp4.h"

namespace weft {

template <>
struct FormatTraits<Format::nvfp4> {
  static constexpr std::string_view kName = "NVFP4";
  static constexpr uint32_t kElements = 64, kBytes = 36;
  static constexpr bool kIsFloat = true;
  static constexpr std::optional<uint32_t> kGgufType = 40, kFileType = 39;
  static constexpr size_t kScales = 0, kValues = 4;
  static constexpr int kRun = 16;
  static constexpr uint8_t kNoScale = 0x7f, kLargestScale = 0x7e;
  static constexpr float kTensorReach = 6 * 448;

  // Four bits of exponent (biased by 7; 0 for subnormal numbers), three of mantissa: as the bits of an f32 they give
  // what is too small by 2^(127 - 7); half of that.
  static float halved_scale(uint8_t bits) {
    return bits == kNoScale ? 0.0f : std::bit_cast<float>((bits & 0x7fu) << 20) * 0x1p119f;
  }
  // The largest scale that is at most this, halved.
  static uint8_t scale_below(float halved) {
    unsigned bits = 0;
    for (unsigned step = 64; step > 0; step /= 2) {
      const auto more = static_cast<uint8_t>(bits + step);
      if (more <= kLargestScale && halved_scale(more) <= halved) bits = more;
    }
    return static_cast<uint8_t>(bits);
  }
  static constexpr BlockSection kSections[] = {{kScales, 4}, {kValues, 32}};

  // A run has 8 bytes: low bits are its elements 0..7, high bits 8..15.
  struct Block {
    const uint8_t* bytes;
    float at(size_t i) const {
      const int number = bytes[kValues + i / 16 * 8 + i % 8] >> (i % 16 < 8 ? 0 : 4) & 15;
      return halved_scale(bytes[kScales + i / 16]) * static_cast<float>(kE2m1Values[static_cast<size_t>(number)]);
    }
  };

  static void encode(const float* in, size_t blocks, uint8_t* out);
  static void set_scales(float value, uint8_t* bytes) {
    for (size_t run = 0; run < 4; ++run)
      bytes[kScales + run] = std::isfinite(value) ? scale_below(std::fabs(value)) : 0;
  }
};

}  // namespace weft

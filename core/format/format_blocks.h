// The block formats of ggml: how a block's small numbers are packed. Scalar and vector decoders share this file,
// so that each packing is written down only once for the CPU.
//
// All of them have one shape: runs of 16 or 32 elements share a scale and, in some formats, a minimum, and an element
// is scale * q - minimum with a small integer q. Formats named _K hold 256 elements in a block, whose scales are
// integers times a scale of the block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/format/format.h"

namespace weft {

// Offsets in bytes from the start of a block, for the formats whose scales have a scale.
namespace q2_k {
inline constexpr size_t kScales = 0, kLow = 16, kScale = 80, kMinimum = 82;
}
namespace q3_k {
inline constexpr size_t kHigh = 0, kLow = 32, kScales = 96, kScale = 108;
}
namespace q4_k {
inline constexpr size_t kScale = 0, kMinimum = 2, kScales = 4, kLow = 16;
}
namespace q5_k {
inline constexpr size_t kScale = 0, kMinimum = 2, kScales = 4, kHigh = 16, kLow = 48;
}
namespace q6_k {
inline constexpr size_t kLow = 0, kHigh = 128, kScales = 192, kScale = 208;
}
namespace q8_k {
inline constexpr size_t kScale = 0, kValues = 4;  // sums of 16 values follow: derived, so not read
}
namespace iq4_xs {
inline constexpr size_t kScale = 0, kScalesHigh = 2, kScalesLow = 4, kValues = 8;
}

// What the 4-bit numbers of IQ4_NL and IQ4_XS stand for.
alignas(16) inline constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                      1,    13,   25,  38,  53,  69,  89,  113};

// Q4_K and Q5_K: twelve bytes hold 8 scales and 8 minimums of 6 bits. The first four of each lie in the low bits of
// bytes 0..7; of the others the low four bits are in bytes 8..11 (scale, then minimum), and the high two bits above
// those of the first four.
inline void unpack_6_bit_pairs(const uint8_t* packed, uint8_t* scales, uint8_t* minimums) {
  uint32_t a, b, c;
  std::memcpy(&a, packed, 4);
  std::memcpy(&b, packed + 4, 4);
  std::memcpy(&c, packed + 8, 4);
  const uint32_t scale[2] = {a & 0x3f3f3f3fu, (c & 0x0f0f0f0fu) | (a >> 2 & 0x30303030u)};
  const uint32_t minimum[2] = {b & 0x3f3f3f3fu, (c >> 4 & 0x0f0f0f0fu) | (b >> 2 & 0x30303030u)};
  std::memcpy(scales, scale, 8);
  std::memcpy(minimums, minimum, 8);
}

// Q3_K: twelve bytes hold 16 scales of 6 bits, stored 32 higher. Bytes 0..7 hold the low four bits of scales 0..7
// and, above them, of scales 8..15; bytes 8..11 hold the high two bits of scales j, j + 4, j + 8 and j + 12, from
// the lowest bits up.
inline void unpack_6_bit_scales(const uint8_t* packed, int8_t* scales) {
  uint32_t low[2], high;
  std::memcpy(low, packed, 8);
  std::memcpy(&high, packed + 8, 4);
  const uint32_t six[4] = {
      (low[0] & 0x0f0f0f0fu) | (high << 4 & 0x30303030u), (low[1] & 0x0f0f0f0fu) | (high << 2 & 0x30303030u),
      (low[0] >> 4 & 0x0f0f0f0fu) | (high & 0x30303030u), (low[1] >> 4 & 0x0f0f0f0fu) | (high >> 2 & 0x30303030u)};
  std::memcpy(scales, six, 16);
  for (int i = 0; i < 16; ++i) scales[i] = static_cast<int8_t>(scales[i] - 32);
}

// IQ4_XS: 8 scales of 6 bits, stored 32 higher: the low four bits in pairs, the high two bits in one 16-bit
// number.
inline void unpack_iq4_scales(const uint8_t* block, int8_t* scales) {
  uint16_t high;
  std::memcpy(&high, block + iq4_xs::kScalesHigh, 2);
  for (int i = 0; i < 8; ++i) {
    const int low = block[iq4_xs::kScalesLow + static_cast<size_t>(i) / 2] >> (4 * (i % 2)) & 15;
    scales[i] = static_cast<int8_t>((low | (high >> (2 * i) & 3) << 4) - 32);
  }
}

// decode_row and decode_element of the formats that have blocks.
void decode_blocks(Format format, const uint8_t* in, size_t elements, float* out);
float decode_in_block(Format format, const uint8_t* block, size_t i);

}  // namespace weft

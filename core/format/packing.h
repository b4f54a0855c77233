// How formats pack small numbers into bytes, as far as more than one does so. Plain and vector decoders share this
// file, so that each packing is written down only once for the CPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/format/format.h"

namespace weft {

template <class T>
T load_as(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
void store_as(uint8_t* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

inline float half_at(const uint8_t* from) { return f16_to_f32(load_as<uint16_t>(from)); }

// 32 numbers of 4 bits: 16 bytes, whose low bits are elements 0..15 and whose high bits are elements 16..31.
inline int nibble_at(const uint8_t* packed, size_t i) { return packed[i % 16] >> (i < 16 ? 0 : 4) & 15; }

// The same with a fifth bit: bit i of 32 for element i.
inline int five_bits_at(const uint8_t* packed, uint32_t fifth, size_t i) {
  return nibble_at(packed, i) | static_cast<int>(fifth >> i & 1u) << 4;
}

// What the 4-bit numbers of IQ4_NL and IQ4_XS stand for.
alignas(16) inline constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                      1,    13,   25,  38,  53,  69,  89,  113};

// 256 numbers of 2 bits, in two halves of 128: a half has 32 bytes, whose bit pairs, from the lowest up, are its four
// runs of 32.
inline int bit_pair_at(const uint8_t* packed, size_t i) {
  return packed[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
}

// 256 numbers of 4 bits, in four pairs of runs of 32: a pair has 32 bytes, the first run in the low four bits, the
// second in the high ones.
inline int paired_nibble_at(const uint8_t* packed, size_t i) {
  return packed[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15;
}

// Twelve bytes hold 8 scales and 8 minimums of 6 bits. The first four of each lie in the low bits of bytes 0..7; of the
// others the low four bits are in bytes 8..11 (scale, then minimum), and the high two bits above those of the first
// four.
inline void unpack_6_bit_pairs(const uint8_t* packed, uint8_t* scales, uint8_t* minimums) {
  const auto a = load_as<uint32_t>(packed), b = load_as<uint32_t>(packed + 4), c = load_as<uint32_t>(packed + 8);
  store_as(scales, a & 0x3f3f3f3fu);
  store_as(scales + 4, (c & 0x0f0f0f0fu) | (a >> 2 & 0x30303030u));
  store_as(minimums, b & 0x3f3f3f3fu);
  store_as(minimums + 4, (c >> 4 & 0x0f0f0f0fu) | (b >> 2 & 0x30303030u));
}

// What blocks of Q4_K and Q5_K begin with: f16 scale and minimum of the block, and those of its 8 runs of 32.
struct SixBitPairs {
  static constexpr size_t kScale = 0, kMin = 2, kPairs = 4, kBytes = 16;
  float scale, minimum;
  uint8_t scales[8], minimums[8];

  explicit SixBitPairs(const uint8_t* block) : scale(half_at(block + kScale)), minimum(half_at(block + kMin)) {
    unpack_6_bit_pairs(block + kPairs, scales, minimums);
  }
  float value(size_t run, int q) const {
    return scale * static_cast<float>(scales[run]) * static_cast<float>(q) -
           minimum * static_cast<float>(minimums[run]);
  }
};

}  // namespace weft

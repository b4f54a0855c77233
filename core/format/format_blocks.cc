#include "core/format/format_blocks.h"

#include <string>
#include <type_traits>

#include "core/error.h"

namespace weft {
namespace {

template <class T>
T load(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

float half_at(const uint8_t* from) { return f16_to_f32(load<uint16_t>(from)); }

// --- One class per format: the constructor reads what a block's elements share, at(i) is element i.

// Blocks of 32. 4-bit numbers: 16 bytes, whose low bits are elements 0..15 and whose high bits are elements
// 16..31.
size_t nibble_at(const uint8_t* packed, size_t i) { return packed[i % 16] >> (i < 16 ? 0 : 4) & 15u; }
// A fifth bit of element i is bit i of 32.
int five_bits_at(const uint8_t* packed, uint32_t fifth, size_t i) {
  return static_cast<int>(nibble_at(packed, i) | (fifth >> i & 1u) << 4);
}

struct Q8_0 {
  static constexpr size_t kElements = 32, kBytes = 34;
  const uint8_t* block;
  float scale = half_at(block);
  float at(size_t i) const { return scale * static_cast<float>(static_cast<int8_t>(block[2 + i])); }
};

struct Q4_0 {
  static constexpr size_t kElements = 32, kBytes = 18;
  const uint8_t* block;
  float scale = half_at(block);
  float at(size_t i) const { return scale * static_cast<float>(static_cast<int>(nibble_at(block + 2, i)) - 8); }
};

struct Q4_1 {
  static constexpr size_t kElements = 32, kBytes = 20;
  const uint8_t* block;
  float scale = half_at(block), least = half_at(block + 2);
  float at(size_t i) const { return scale * static_cast<float>(nibble_at(block + 4, i)) + least; }
};

struct Q5_0 {
  static constexpr size_t kElements = 32, kBytes = 22;
  const uint8_t* block;
  float scale = half_at(block);
  uint32_t fifth = load<uint32_t>(block + 2);
  float at(size_t i) const { return scale * static_cast<float>(five_bits_at(block + 6, fifth, i) - 16); }
};

struct Q5_1 {
  static constexpr size_t kElements = 32, kBytes = 24;
  const uint8_t* block;
  float scale = half_at(block), least = half_at(block + 2);
  uint32_t fifth = load<uint32_t>(block + 4);
  float at(size_t i) const { return scale * static_cast<float>(five_bits_at(block + 8, fifth, i)) + least; }
};

struct Iq4Nl {
  static constexpr size_t kElements = 32, kBytes = 18;
  const uint8_t* block;
  float scale = half_at(block);
  float at(size_t i) const { return scale * static_cast<float>(kIq4Values[nibble_at(block + 2, i)]); }
};

// Blocks of 256, in 8 runs of 32, whose 4-bit numbers are laid out as in IQ4_NL.
struct Iq4Xs {
  static constexpr size_t kElements = 256, kBytes = 136;
  const uint8_t* block;
  float scale = half_at(block + iq4_xs::kScale);
  int8_t scales[8];
  explicit Iq4Xs(const uint8_t* from) : block(from) { unpack_iq4_scales(block, scales); }
  float at(size_t i) const {
    const size_t value = nibble_at(block + iq4_xs::kValues + i / 32 * 16, i % 32);
    return scale * static_cast<float>(scales[i / 32]) * static_cast<float>(kIq4Values[value]);
  }
};

// Two halves of 128 elements; a half has 32 bytes, whose bit pairs, from the lowest up, are its four runs of 32.
int bit_pair_at(const uint8_t* packed, size_t i) { return packed[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3; }

// 16 elements share a byte: the scale in its low four bits, the minimum in its high four.
struct Q2K {
  static constexpr size_t kElements = 256, kBytes = 84;
  const uint8_t* block;
  float scale = half_at(block + q2_k::kScale), minimum = half_at(block + q2_k::kMinimum);
  float at(size_t i) const {
    const int own = block[q2_k::kScales + i / 16];
    return scale * static_cast<float>(own & 15) * static_cast<float>(bit_pair_at(block + q2_k::kLow, i)) -
           minimum * static_cast<float>(own >> 4);
  }
};

// Bit r of 32 bytes belongs to run r (of 8): where it is clear, the value is 4 less.
struct Q3K {
  static constexpr size_t kElements = 256, kBytes = 110;
  const uint8_t* block;
  float scale = half_at(block + q3_k::kScale);
  int8_t scales[16];
  explicit Q3K(const uint8_t* from) : block(from) { unpack_6_bit_scales(block + q3_k::kScales, scales); }
  float at(size_t i) const {
    const int high = block[q3_k::kHigh + i % 32] >> (i / 32) & 1;
    return scale * static_cast<float>(scales[i / 16]) *
           static_cast<float>(bit_pair_at(block + q3_k::kLow, i) + 4 * high - 4);
  }
};

// Four pairs of runs of 32, each pair in 32 bytes: the first run in the low four bits, the second in the high ones.
// Q5_K: bit r of 32 bytes is the fifth of run r.
template <size_t kSize, size_t kLow, bool kFifth>
struct Q4Or5K {
  static constexpr size_t kElements = 256, kBytes = kSize;
  const uint8_t* block;
  float scale = half_at(block + q4_k::kScale), minimum = half_at(block + q4_k::kMinimum);
  uint8_t scales[8], minimums[8];
  static_assert(q4_k::kScales == q5_k::kScales && q4_k::kScale == q5_k::kScale && q4_k::kMinimum == q5_k::kMinimum);
  explicit Q4Or5K(const uint8_t* from) : block(from) { unpack_6_bit_pairs(block + q4_k::kScales, scales, minimums); }
  float at(size_t i) const {
    const size_t run = i / 32;
    int q = block[kLow + i / 64 * 32 + i % 32] >> (run % 2 * 4) & 15;
    if (kFifth) q |= (block[q5_k::kHigh + i % 32] >> run & 1) << 4;
    return scale * static_cast<float>(scales[run]) * static_cast<float>(q) -
           minimum * static_cast<float>(minimums[run]);
  }
};
using Q4K = Q4Or5K<144, q4_k::kLow, false>;
using Q5K = Q4Or5K<176, q5_k::kLow, true>;

// Two halves of 128 elements in four runs of 32. Low bits: 64 bytes a half, run r in bytes 32 * (r % 2) ..., in the
// low four bits for r < 2. High bits: 32 bytes a half, run r in bit pair r. Scales: an int8 for each 16 elements.
struct Q6K {
  static constexpr size_t kElements = 256, kBytes = 210;
  const uint8_t* block;
  float scale = half_at(block + q6_k::kScale);
  float at(size_t i) const {
    const size_t half = i / 128, run = i % 128 / 32;
    const int low = block[q6_k::kLow + half * 64 + run % 2 * 32 + i % 32] >> (run / 2 * 4) & 15;
    const int q = low | bit_pair_at(block + q6_k::kHigh, i) << 4;
    const auto own = static_cast<int8_t>(block[q6_k::kScales + i / 16]);
    return scale * static_cast<float>(own) * static_cast<float>(q - 32);
  }
};

struct Q8K {
  static constexpr size_t kElements = 256, kBytes = 292;
  const uint8_t* block;
  float scale = load<float>(block + q8_k::kScale);
  float at(size_t i) const { return scale * static_cast<float>(static_cast<int8_t>(block[q8_k::kValues + i])); }
};

// Calls use(std::type_identity<Decoder>()).
template <class Use>
auto with_decoder(Format format, const Use& use) {
  switch (format) {
    case Format::q8_0: return use(std::type_identity<Q8_0>());
    case Format::q4_0: return use(std::type_identity<Q4_0>());
    case Format::q4_1: return use(std::type_identity<Q4_1>());
    case Format::q5_0: return use(std::type_identity<Q5_0>());
    case Format::q5_1: return use(std::type_identity<Q5_1>());
    case Format::q2_k: return use(std::type_identity<Q2K>());
    case Format::q3_k: return use(std::type_identity<Q3K>());
    case Format::q4_k: return use(std::type_identity<Q4K>());
    case Format::q5_k: return use(std::type_identity<Q5K>());
    case Format::q6_k: return use(std::type_identity<Q6K>());
    case Format::q8_k: return use(std::type_identity<Q8K>());
    case Format::iq4_nl: return use(std::type_identity<Iq4Nl>());
    case Format::iq4_xs: return use(std::type_identity<Iq4Xs>());
    case Format::f32:
    case Format::i32:
    case Format::bool8:
    case Format::f16:
    case Format::bf16: break;
  }
  throw Error("format " + std::string(name(format)) + " has no blocks");
}

}  // namespace

void decode_blocks(Format format, const uint8_t* in, size_t elements, float* out) {
  with_decoder(format, [&]<class Decoder>(std::type_identity<Decoder>) {
    for (size_t first = 0; first < elements; first += Decoder::kElements, in += Decoder::kBytes) {
      const Decoder decoder{in};
      for (size_t i = 0; i < Decoder::kElements; ++i) out[first + i] = decoder.at(i);
    }
  });
}

float decode_in_block(Format format, const uint8_t* block, size_t i) {
  return with_decoder(format, [&]<class Decoder>(std::type_identity<Decoder>) { return Decoder{block}.at(i); });
}

}  // namespace weft

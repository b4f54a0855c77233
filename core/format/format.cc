#include "core/format/format.h"

#include <cstring>

#include "core/error.h"
#include "core/format/format_blocks.h"
#include "core/format/quantize.h"

namespace weft {
namespace {

constexpr FormatInfo kInfo[kFormatCount] = {
    {"F32", 1, 4, true},      {"I32", 1, 4, false},       {"BOOL", 1, 1, false},    {"F16", 1, 2, true},
    {"BF16", 1, 2, true},     {"Q8_0", 32, 34, true},     {"Q4_0", 32, 18, true},   {"Q4_1", 32, 20, true},
    {"Q5_0", 32, 22, true},   {"Q5_1", 32, 24, true},     {"Q2_K", 256, 84, true},  {"Q3_K", 256, 110, true},
    {"Q4_K", 256, 144, true}, {"Q5_K", 256, 176, true},   {"Q6_K", 256, 210, true}, {"Q8_K", 256, 292, true},
    {"IQ4_NL", 32, 18, true}, {"IQ4_XS", 256, 136, true},
};

template <class T>
T load(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
void store(void* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

}  // namespace

const FormatInfo& info(Format format) { return kInfo[static_cast<size_t>(format)]; }

float f16_to_f32(uint16_t bits) {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16;
  const uint32_t exponent = (bits >> 10) & 0x1f;
  uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  // Subnormal: mantissa * 2^-24, exact in f32.
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u;   // NaN stays a (quiet) NaN
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;  // rounds to 65536 or more: infinity
  if (magnitude < 0x38800000u) {                        // below 2^-14: subnormal or zero
    // Adding 0.5 leaves the value in units of 2^-24 in the mantissa, rounded to nearest even by the adder.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return sign | static_cast<uint16_t>(std::bit_cast<uint32_t>(shifted) - 0x3f000000u);
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return sign | static_cast<uint16_t>((rounded - 0x38000000u) >> 13);
}

uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

void decode_row(Format format, const void* bytes, size_t elements, float* out) {
  const auto* in = static_cast<const uint8_t*>(bytes);
  switch (format) {
    case Format::f32:
      if (elements != 0) std::memcpy(out, in, elements * sizeof(float));
      return;
    case Format::f16:
      for (size_t i = 0; i < elements; ++i) out[i] = f16_to_f32(load<uint16_t>(in + 2 * i));
      return;
    case Format::bf16:
      for (size_t i = 0; i < elements; ++i) out[i] = bf16_to_f32(load<uint16_t>(in + 2 * i));
      return;
    case Format::i32:
    case Format::bool8: throw Error("decode_row: format " + std::string(name(format)) + " holds no floats");
    default: return decode_blocks(format, in, elements, out);
  }
}

float decode_element(Format format, const void* bytes, size_t at) {
  const FormatInfo& f = info(format);
  const auto* block = static_cast<const uint8_t*>(bytes) + at / f.block_elements * f.block_bytes;
  if (f.block_elements > 1) return decode_in_block(format, block, at % f.block_elements);
  float value;
  decode_row(format, block, 1, &value);
  return value;
}

void encode_row(Format format, const float* in, size_t elements, void* bytes) {
  auto* out = static_cast<uint8_t*>(bytes);
  switch (format) {
    case Format::f32:
      if (elements != 0) std::memcpy(out, in, elements * sizeof(float));
      return;
    case Format::f16:
      for (size_t i = 0; i < elements; ++i) store(out + 2 * i, f32_to_f16(in[i]));
      return;
    case Format::bf16:
      for (size_t i = 0; i < elements; ++i) store(out + 2 * i, f32_to_bf16(in[i]));
      return;
    case Format::i32:
    case Format::bool8: throw Error("encode_row: format " + std::string(name(format)) + " holds no floats");
    default: return encode_blocks(format, in, elements, out);
  }
}

}  // namespace weft

// Storage formats: how the elements of a value or a weight lie in memory.
//
// Arithmetic is f32 (or i32, or bool); the other formats exist at leaves only. A quantized format stores its last
// axis in blocks; `decode_row` is the one place that defines what the bits of a format mean, and every faster
// decoder is tested against it.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weft {

enum class Format : uint8_t {
  f32,
  i32,
  bool8,
  f16,
  bf16,
  q8_0,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  q8_k,
  iq4_nl,
  iq4_xs
};
inline constexpr int kFormatCount = 18;
inline constexpr uint32_t kMaxBlockElements = 256;
// The formats that quantize: a block shares a scale.
inline constexpr Format kBlockFormats[] = {Format::q8_0, Format::q4_0,   Format::q4_1,  Format::q5_0, Format::q5_1,
                                           Format::q2_k, Format::q3_k,   Format::q4_k,  Format::q5_k, Format::q6_k,
                                           Format::q8_k, Format::iq4_nl, Format::iq4_xs};
inline constexpr Format kFloatFormats[] = {
    Format::f32,  Format::f16,  Format::bf16, Format::q8_0, Format::q4_0, Format::q4_1, Format::q5_0,   Format::q5_1,
    Format::q2_k, Format::q3_k, Format::q4_k, Format::q5_k, Format::q6_k, Format::q8_k, Format::iq4_nl, Format::iq4_xs};

struct FormatInfo {
  std::string_view name;    // as GGUF tools print it: "F32", "Q8_0"
  uint32_t block_elements;  // elements that share a block; 1 for plain formats
  uint32_t block_bytes;     // bytes of one block
  bool is_float;            // reading it yields f32
};

const FormatInfo& info(Format format);

inline std::string_view name(Format format) { return info(format).name; }

// Bytes of one row of `elements` (a multiple of the format's block).
inline size_t row_bytes(Format format, size_t elements) {
  const FormatInfo& f = info(format);
  return elements / f.block_elements * f.block_bytes;
}

// Decodes `elements` consecutive elements (a multiple of the block) of a float format into `out`. The blocks are
// those of ggml (core/format/format_blocks.h and .cc describe their layout), and the results match ggml's
// arithmetic bit for bit: the scale times the small integer, then minus the minimum, each rounded to f32.
void decode_row(Format format, const void* bytes, size_t elements, float* out);

// The single element `at` of the sequence that starts at `bytes`, equal to what decode_row gives.
float decode_element(Format format, const void* bytes, size_t at);

// Encodes with round-to-nearest-even (f16, bf16), as is (f32), or so that the squared error of each block is small
// (core/format/quantize.h). `elements` must be a multiple of the block. Throws Error, naming the element, for an
// infinity or a NaN that would go into a block.
void encode_row(Format format, const float* in, size_t elements, void* bytes);

// f16 and bf16 as bit patterns. IEEE 754 binary16, and the upper half of binary32.
float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);
inline float bf16_to_f32(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }
uint16_t f32_to_bf16(float value);

}  // namespace weft

// Storage formats: how the elements of a value or a weight lie in memory. (Code that is made for each format includes
// core/format/formats.h.)
//
// Arithmetic is f32 (or i32, or bool); the other formats exist at leaves only. A quantized format stores its last
// axis in blocks; `decode_row` is the one place that defines what the bits of a format mean, and every faster
// decoder is tested against it.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <string_view>

#include "core/format/format_list.h"

namespace weft {

#define WEFT_FORMAT_NAME(NAME) NAME,
enum class Format : uint8_t {
  WEFT_FLOAT_FORMATS(WEFT_FORMAT_NAME) WEFT_INTEGER_FORMATS(WEFT_FORMAT_NAME) WEFT_BLOCK_FORMATS(WEFT_FORMAT_NAME)
};
#undef WEFT_FORMAT_NAME

#define WEFT_FORMAT_VALUE(NAME) Format::NAME,
inline constexpr Format kAllFormats[] = {WEFT_FLOAT_FORMATS(WEFT_FORMAT_VALUE) WEFT_INTEGER_FORMATS(WEFT_FORMAT_VALUE)
                                             WEFT_BLOCK_FORMATS(WEFT_FORMAT_VALUE)};
inline constexpr int kFormatCount = std::size(kAllFormats);
// The formats that quantize: a block shares a scale.
inline constexpr Format kBlockFormats[] = {WEFT_BLOCK_FORMATS(WEFT_FORMAT_VALUE)};
inline constexpr Format kFloatFormats[] = {WEFT_FLOAT_FORMATS(WEFT_FORMAT_VALUE) WEFT_BLOCK_FORMATS(WEFT_FORMAT_VALUE)};
#undef WEFT_FORMAT_VALUE
inline constexpr uint32_t kMaxBlockElements = 256;

// A part of a block whose bytes mean the same: its scales, or the low bits of its elements.
struct BlockSection {
  uint16_t at = 0, bytes = 0;
  uint8_t flip = 0;  // bits of each byte that interleaved layouts turn over: 0x80 makes signed bytes 128 higher
  // A bit for each of 32 elements: interleaved layouts have those of elements j, 4 + j, 8 + j, ... in byte j.
  bool by_fours = false;
};

struct FormatInfo {
  std::string_view name;        // as GGUF tools print it: "F32", "Q8_0"
  std::string_view identifier;  // of the enum: "f32", "q8_0"
  uint32_t block_elements;      // elements that share a block; 1 for plain formats
  uint32_t block_bytes;         // bytes of one block
  bool is_float;                // reading it yields f32
  // In GGUF files: the type of a tensor, and general.file_type of a file whose matrices are all in this format.
  std::optional<uint32_t> gguf_type, file_type;
  // Not 0: scales reach so little that a tensor has one more of its own, which brings its largest magnitude to this.
  float tensor_reach;
  std::span<const BlockSection> sections;  // of a block; none for formats without blocks
};

const FormatInfo& info(Format format);

inline std::string_view name(Format format) { return info(format).name; }

// Bytes of one row of `elements` (a multiple of the format's block).
inline size_t row_bytes(Format format, size_t elements) {
  const FormatInfo& f = info(format);
  return elements / f.block_elements * f.block_bytes;
}

// Decodes `elements` consecutive elements (a multiple of the block) of a float format into `out`. The blocks are those
// of ggml (core/format/NAME/NAME.h describes each), and the results match ggml's arithmetic bit for bit: the scale
// times the small integer, then minus the minimum, each rounded to f32.
void decode_row(Format format, const void* bytes, size_t elements, float* out);

// The single element `at` of the sequence that starts at `bytes`, equal to what decode_row gives.
float decode_element(Format format, const void* bytes, size_t at);

// Encodes with round-to-nearest-even (f16, bf16), as is (f32), or so that the squared error of each block is small
// (core/format/quantize_search.h). `elements` must be a multiple of the block. Throws Error, naming the element, for an
// infinity or a NaN that would go into a block.
void encode_row(Format format, const float* in, size_t elements, void* bytes);

// The same for values of which nothing is known, as a cache gets them: a block with an infinity or a NaN becomes one
// whose elements all read as NaN.
void encode_row_or_nan(Format format, const float* in, size_t elements, void* bytes);

// The index of the first infinity or NaN; `elements` if there is none.
size_t first_not_finite(const float* in, size_t elements);

// f16 and bf16 as bit patterns. IEEE 754 binary16, and the upper half of binary32.
float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);
inline float bf16_to_f32(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }
uint16_t f32_to_bf16(float value);

}  // namespace weft

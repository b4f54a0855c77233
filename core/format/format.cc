#include "core/format/format.h"

#include <cmath>
#include <limits>
#include <string>

#include "core/error.h"
#include "core/format/formats.h"

namespace weft {
namespace {

template <Format kFormat>
constexpr FormatInfo info_of(std::string_view identifier) {
  using Traits = FormatTraits<kFormat>;
  FormatInfo info{Traits::kName, identifier, Traits::kElements, Traits::kBytes, Traits::kIsFloat, {}, {}, 0, {}};
  if constexpr (Traits::kIsFloat) {
    info.gguf_type = Traits::kGgufType;
    info.file_type = Traits::kFileType;
    if constexpr (requires { Traits::kTensorReach; }) info.tensor_reach = Traits::kTensorReach;
  }
  static_assert(kMaxBlockElements % Traits::kElements == 0);
  if constexpr (Traits::kElements > 1) {
    info.sections = Traits::kSections;
    size_t bytes = 0;
    for (const BlockSection& section : Traits::kSections) bytes += section.bytes;
    if (bytes != Traits::kBytes) throw "the sections of a block are all of its bytes";
  }
  return info;
}

#define WEFT_FORMAT_INFO(NAME) info_of<Format::NAME>(#NAME),
constexpr FormatInfo kInfo[] = {WEFT_FLOAT_FORMATS(WEFT_FORMAT_INFO) WEFT_INTEGER_FORMATS(WEFT_FORMAT_INFO)
                                    WEFT_BLOCK_FORMATS(WEFT_FORMAT_INFO)};
#undef WEFT_FORMAT_INFO
static_assert(std::size(kInfo) == kFormatCount);

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

size_t first_not_finite(const float* in, size_t elements) {
  // A value minus itself is 0, except for infinities and NaN; the sum of the differences of a run is tested once.
  constexpr size_t kRun = 256;
  for (size_t begin = 0; begin < elements; begin += kRun) {
    const size_t end = begin + kRun < elements ? begin + kRun : elements;
    float differences = 0;
#pragma omp simd reduction(+ : differences)
    for (size_t i = begin; i < end; ++i) differences += in[i] - in[i];
    if (differences == 0) continue;
    for (size_t i = begin; i < end; ++i) {
      if (!std::isfinite(in[i])) return i;
    }
  }
  return elements;
}

void decode_row(Format format, const void* bytes, size_t elements, float* out) {
  visit_float_format(format, [&]<Format kFormat>() {
    using Traits = FormatTraits<kFormat>;
    const auto* in = static_cast<const uint8_t*>(bytes);
    for (size_t first = 0; first < elements; first += Traits::kElements, in += Traits::kBytes) {
      const typename Traits::Block block{in};
      for (size_t i = 0; i < Traits::kElements; ++i) out[first + i] = block.at(i);
    }
  });
}

float decode_element(Format format, const void* bytes, size_t at) {
  return visit_float_format(format, [&]<Format kFormat>() {
    using Traits = FormatTraits<kFormat>;
    const uint8_t* in = static_cast<const uint8_t*>(bytes) + at / Traits::kElements * Traits::kBytes;
    return typename Traits::Block{in}.at(at % Traits::kElements);
  });
}

void encode_row(Format format, const float* in, size_t elements, void* bytes) {
  visit_float_format(format, [&]<Format kFormat>() {
    using Traits = FormatTraits<kFormat>;
    if constexpr (Traits::kElements > 1) {
      if (const size_t bad = first_not_finite(in, elements); bad < elements) {
        throw Error("encode_row: element " + std::to_string(bad) + " is " + std::to_string(in[bad]) + ", and " +
                    std::string(Traits::kName) + " holds finite numbers only");
      }
    }
    Traits::encode(in, elements / Traits::kElements, static_cast<uint8_t*>(bytes));
  });
}

void encode_row_or_nan(Format format, const float* in, size_t elements, void* bytes) {
  visit_float_format(format, [&]<Format kFormat>() {
    using Traits = FormatTraits<kFormat>;
    auto* out = static_cast<uint8_t*>(bytes);
    if constexpr (Traits::kElements == 1) {
      Traits::encode(in, elements, out);
    } else {
      constexpr float kZeros[Traits::kElements] = {};
      for (size_t i = 0; i + Traits::kElements <= elements; i += Traits::kElements, out += Traits::kBytes) {
        const bool is_finite = first_not_finite(in + i, Traits::kElements) == Traits::kElements;
        Traits::encode(is_finite ? in + i : kZeros, 1, out);
        if (!is_finite) Traits::set_scales(std::numeric_limits<float>::quiet_NaN(), out);
      }
    }
  });
}

}  // namespace weft

#include "core/format/quantize.h"

#include <cmath>
#include <string>

#include "core/error.h"

namespace weft {

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

void encode_blocks(Format format, const float* in, size_t elements, uint8_t* out) {
  if (const size_t bad = first_not_finite(in, elements); bad < elements) {
    throw Error("encode_row: element " + std::to_string(bad) + " is " + std::to_string(in[bad]) + ", and " +
                std::string(name(format)) + " holds finite numbers only");
  }
  const size_t blocks = elements / info(format).block_elements;
  switch (format) {
    case Format::q4_0: return quantize_q4_0(in, blocks, out);
    case Format::q4_1: return quantize_q4_1(in, blocks, out);
    case Format::q5_0: return quantize_q5_0(in, blocks, out);
    case Format::q5_1: return quantize_q5_1(in, blocks, out);
    case Format::q8_0: return quantize_q8_0(in, blocks, out);
    case Format::iq4_nl: return quantize_iq4_nl(in, blocks, out);
    case Format::q2_k: return quantize_q2_k(in, blocks, out);
    case Format::q3_k: return quantize_q3_k(in, blocks, out);
    case Format::q4_k: return quantize_q4_k(in, blocks, out);
    case Format::q5_k: return quantize_q5_k(in, blocks, out);
    case Format::q6_k: return quantize_q6_k(in, blocks, out);
    case Format::q8_k: return quantize_q8_k(in, blocks, out);
    case Format::iq4_xs: return quantize_iq4_xs(in, blocks, out);
    case Format::f32:
    case Format::i32:
    case Format::bool8:
    case Format::f16:
    case Format::bf16: break;
  }
  throw Error("encode_row: format " + std::string(name(format)) + " has no blocks of floats");
}

}  // namespace weft

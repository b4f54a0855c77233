// Quantizers: f32 rows to the blocks of a storage format. Callers use `encode_row` (core/format/format.h); these
// are its parts, one per format. `decode_row` defines what the bits of a block mean.
//
// Each searches for the scales (and offsets) that give the least sum of squared errors in its block, measured with
// the scales as they will be stored. Deterministic. Values must be finite; values beyond the reach of the format's
// scales are clamped (an f16 scale ends at 65504).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/format/format.h"

namespace weft {

// The index of the first infinity or NaN; `elements` if there is none.
size_t first_not_finite(const float* in, size_t elements);

// encode_row of the block formats. Throws Error, naming the element, for a value that is not finite.
void encode_blocks(Format format, const float* in, size_t elements, uint8_t* out);

// Blocks of 32 elements.
void quantize_q4_0(const float* in, size_t blocks, uint8_t* out);
void quantize_q4_1(const float* in, size_t blocks, uint8_t* out);
void quantize_q5_0(const float* in, size_t blocks, uint8_t* out);
void quantize_q5_1(const float* in, size_t blocks, uint8_t* out);
void quantize_q8_0(const float* in, size_t blocks, uint8_t* out);
void quantize_iq4_nl(const float* in, size_t blocks, uint8_t* out);

// Blocks of 256 elements, in groups of 16 or 32 that each have an integer scale.
void quantize_q2_k(const float* in, size_t blocks, uint8_t* out);
void quantize_q3_k(const float* in, size_t blocks, uint8_t* out);
void quantize_q4_k(const float* in, size_t blocks, uint8_t* out);
void quantize_q5_k(const float* in, size_t blocks, uint8_t* out);
void quantize_q6_k(const float* in, size_t blocks, uint8_t* out);
void quantize_q8_k(const float* in, size_t blocks, uint8_t* out);
void quantize_iq4_xs(const float* in, size_t blocks, uint8_t* out);

}  // namespace weft

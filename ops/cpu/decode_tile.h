// Elements of any float format as f32, in vector code. What the bits mean is said by decode_row (core/format/format.h),
// which this is tested against.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/format/format.h"

namespace weft {

// Elements [first, first + count) of the sequence that starts at `data`, to out[0 .. count). Reads whole blocks,
// writes exactly `count` elements.
void decode_elements(Format format, const std::byte* data, int64_t first, int64_t count, float* out);

// Rows of `width` elements, whole blocks, each where its pointer says: row j to out[j * width ...].
void decode_rows(Format format, const std::byte* const* rows, int64_t count, int64_t width, float* out);

}  // namespace weft

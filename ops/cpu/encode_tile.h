// Elements of f32 into the formats that caches are stored in, in vector code. What the bits mean is said by
// core/format/format.h; the bytes are those of encode_row_or_nan, which this is tested against.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/format/format.h"

namespace weft {

// in[0 .. count) to elements [first, first + count) of the sequence that starts at `data`, in one of kCacheFormats:
// whole blocks, where the format has blocks.
void encode_elements(Format format, const float* in, std::byte* data, int64_t first, int64_t count);

}  // namespace weft

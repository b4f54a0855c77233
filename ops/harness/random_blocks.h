// Random blocks of the formats that have some, every bit of their numbers drawn: what tests and benchmarks read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "core/format/format.h"

namespace weft {

// Gives the floats that scale a block as a whole this value; if they cannot have it, one that is nearer to 0.
void set_scales(Format format, float value, uint8_t* block);

// Fills `bytes` with blocks of `elements` elements of at most `magnitude` (but for the rounding of the scale). A share
// `nonfinite` of the blocks gets a scale that is NaN or an infinity, if the format has such scales. `random` gives 64
// random bits per call.
void random_blocks(Format format, size_t elements, float magnitude, double nonfinite,
                   const std::function<uint64_t()>& random, std::byte* bytes);

}  // namespace weft

// Vector kernels of the rotary embedding.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/record/graph.h"

namespace weft {

// cosines[i], sines[i] = scale * cos, sin of the f32 product position * frequencies[i].
void rotation_table(int32_t position, const float* frequencies, size_t pairs, float scale, float* cosines,
                    float* sines);

// Turns the first 2 * pairs of a line's elements in place. The line's elements are `stride` apart; `width` lines
// lie next to each other, of elements 1 apart, and are turned by the same angles; so are `count` such groups of lines,
// `step` elements apart.
void rotate_lines(float* line, int64_t stride, int64_t width, size_t pairs, RopePairs order, const float* cosines,
                  const float* sines, int64_t count, int64_t step);

}  // namespace weft

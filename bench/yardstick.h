// Maps as one would write them by hand, in Highway and for no other use: what the evaluation of scalar programs is
// compared with. They take the library's elementary functions, so that only how a program is run differs.
#pragma once

#include <cstddef>

namespace weft::bench::yardstick {

// out = a * sigmoid(a) * b
void swiglu(const float* a, const float* b, size_t count, float* out);
// out = a + b
void add(const float* a, const float* b, size_t count, float* out);
// out[r][c] = cap * tanh(x[r][c] / cap) - slope[r] * (rows - r - c), as of a block of scores
void capped_alibi(const float* x, const float* slope, size_t rows, size_t columns, float cap, float* out);
// out = where(a > b, sqrt(abs(a * b) + 1), exp(a - b) * 0.5 + b): a program that no kernel foresees
void odd(const float* a, const float* b, size_t count, float* out);

}  // namespace weft::bench::yardstick

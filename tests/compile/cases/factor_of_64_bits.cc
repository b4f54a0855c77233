// A factor that is neither a float nor an int.
// expect: multiply | found<long | numbers_are_float_int_or_bool
#include "common.h"

auto wrong_or_right(Value<f32, Pos, Embed> x, int64_t layers) {
#ifdef WRONG
  return materialize(x * layers);
#else
  return materialize(x * static_cast<float>(layers));
#endif
}

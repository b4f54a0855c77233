// Int mixed with float without cast.
// expect: add | element_types_differ<float, int> | use_cast
#include "common.h"

auto wrong_or_right(Value<f32, Pos> x, Value<i32, Pos> n) {
#ifdef WRONG
  return materialize(x + n);
#else
  return materialize(x + cast<f32>(n));
#endif
}

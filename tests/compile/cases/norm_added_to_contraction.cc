// An expression that needs two steps: a norm beside a contraction.
// expect: add | a_norm_meets_a_contraction | put_materialize_around_one_of_the_operands
#include "common.h"

auto wrong_or_right(Value<f32, Pos, Embed> x, Weight<Hidden, Embed> w, Value<f32, Pos, Hidden> y, Weight<Hidden> s) {
#ifdef WRONG
  return materialize(rms_norm<Hidden>(y, s, 1e-5f) + contract<Embed>(x, w));
#else
  return materialize(materialize(rms_norm<Hidden>(y, s, 1e-5f)) + contract<Embed>(x, w));
#endif
}

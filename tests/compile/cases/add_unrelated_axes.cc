// Adding tensors of which each has an axis that the other lacks.
// expect: add | left_operand_lacks<Hidden> | right_operand_lacks<Embed>
#include "common.h"

auto wrong_or_right(Value<f32, Pos, Embed> x, Value<f32, Pos, Hidden> y, Value<f32, Pos> z) {
#ifdef WRONG
  return materialize(exp(x + y));
#else
  return materialize(exp(x + z) + 1.0f);
#endif
}

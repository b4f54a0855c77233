// An expression that needs two steps: reductions along two axes.
// expect: reduce | reduced_along<Pos> | reduced_along<Embed> | put_materialize_around_the_operand
#include "common.h"

auto wrong_or_right(Value<f32, Pos, Embed> x) {
#ifdef WRONG
  return materialize(sum<Pos>(sum<Embed>(x)));
#else
  return materialize(sum<Pos>(materialize(sum<Embed>(x))));
#endif
}

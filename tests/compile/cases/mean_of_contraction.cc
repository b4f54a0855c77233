// An expression that needs two steps: a contraction loses an axis.
// expect: reduce | operand_is_a_contraction | put_materialize_around_the_operand | Pos, Hidden
#include "common.h"

auto wrong_or_right(Value<f32, Pos, Embed> x, Weight<Hidden, Embed> up) {
#ifdef WRONG
  return materialize(mean<Hidden>(contract<Embed>(x, up)));
#else
  return materialize(mean<Hidden>(materialize(contract<Embed>(x, up))));
#endif
}

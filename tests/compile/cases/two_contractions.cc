// An expression that needs two steps: a contraction of a contraction.
// expect: contract | operand_is_a_contraction | put_materialize_around_the_left_operand
#include "common.h"

auto wrong_or_right(Value<f32, Pos, Embed> x, Weight<Hidden, Embed> up, Weight<Embed, Hidden> down) {
#ifdef WRONG
  return materialize(contract<Hidden>(silu(contract<Embed>(x, up)), down));
#else
  return materialize(contract<Hidden>(materialize(silu(contract<Embed>(x, up))), down));
#endif
}

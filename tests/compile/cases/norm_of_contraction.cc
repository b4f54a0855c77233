// An expression that needs two steps: a norm of a contraction.
// expect: norm | operand_is_a_contraction | put_materialize_around_the_operand | Pos, Hidden
#include "common.h"

auto wrong_or_right(Value<f32, Pos, Embed> x, Weight<Hidden, Embed> up, Weight<Hidden> scale) {
#ifdef WRONG
  return materialize(rms_norm<Hidden>(contract<Embed>(x, up), scale, 1e-5f));
#else
  return materialize(rms_norm<Hidden>(materialize(contract<Embed>(x, up)), scale, 1e-5f));
#endif
}

// Contracting an axis that the left side lacks.
// expect: contract | left_operand_lacks<Hidden> | Pos, Embed | Hidden, Embed
#include "common.h"

auto wrong_or_right(Value<f32, Pos, Embed> x, Weight<Hidden, Embed> w) {
#ifdef WRONG
  return materialize(silu(contract<Hidden>(x, w)));
#else
  return materialize(silu(contract<Embed>(x, w)));
#endif
}

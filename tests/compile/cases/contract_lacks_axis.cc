// Contracting an axis that one side lacks.
// expect: contract | right_operand_lacks<HeadDim> | Pos, Embed | Hidden, Embed
#include "common.h"

auto wrong_or_right(Value<f32, Pos, Embed, HeadDim> x, Weight<Hidden, Embed> w) {
#ifdef WRONG
  return materialize(contract<HeadDim>(x, w));
#else
  return materialize(contract<Embed>(x, w));
#endif
}

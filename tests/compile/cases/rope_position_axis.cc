// Positions on an axis that the value lacks.
// expect: rope | left_operand_lacks<Seq> | Pos, KvHead, HeadDim
#include "common.h"

auto wrong_or_right(Value<f32, Pos, KvHead, HeadDim> x, Positions<Pos> pos, Positions<Seq> other) {
#ifdef WRONG
  return materialize(rope<HeadDim>(x, other));
#else
  return materialize(rope<HeadDim>(x, pos));
#endif
}

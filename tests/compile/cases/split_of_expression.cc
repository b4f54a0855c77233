// A view of something that is not stored.
// expect: split | operand_is_an_expression | put_materialize_around_the_operand | Pos, Embed
#include "common.h"

auto wrong_or_right(Value<f32, Pos, Embed> x) {
#ifdef WRONG
  return materialize(split<Embed, KvHead, HeadDim>(x + 1.0f));
#else
  return materialize(split<Embed, KvHead, HeadDim>(materialize(x + 1.0f)));
#endif
}

// The softmax of a contraction without a cache, alone.
// expect: materialize | operand_is_a_softmax_of_a_contraction | put_materialize_around_what_softmax_takes
#include "common.h"

auto wrong_or_right(Value<f32, Pos, Embed> x, Weight<Vocab, Embed> w) {
#ifdef WRONG
  return materialize(softmax<Vocab>(contract<Embed>(x, w)));
#else
  return materialize(softmax<Vocab>(materialize(contract<Embed>(x, w))));
#endif
}

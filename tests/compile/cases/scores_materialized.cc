// A softmax over a contraction is half of attention.
// expect: materialize | operand_is_a_softmax_of_a_contraction | reduced_along<Key>
#include "common.h"

auto wrong_or_right(Value<f32, Pos, KvHead, HeadDim> q, Value<f32, Key, KvHead, HeadDim> k) {
#ifdef WRONG
  return materialize(softmax<Key>(contract<HeadDim>(q, k)));
#else
  return materialize(softmax<Key>(materialize(contract<HeadDim>(q, k))));
#endif
}

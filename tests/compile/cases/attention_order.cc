// Attention stored in another order takes a second step.
// expect: materialize | operand_is_an_attention | put_materialize_around_the_operand | Pos, KvHead, Group, Embed
#include "common.h"

auto wrong_or_right(Value<f32, Pos, KvHead, Group, HeadDim> q, Value<f32, Key, KvHead, HeadDim> k) {
  auto a = contract<Key>(softmax<Key>(contract<HeadDim>(q, k)), rename<HeadDim, Embed>(k));
#ifdef WRONG
  return materialize<KvHead, Group, Pos, Embed>(a);
#else
  return materialize<KvHead, Group, Pos, Embed>(materialize(a));
#endif
}

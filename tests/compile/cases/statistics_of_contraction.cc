// Statistics are those of a softmax along keys, and what follows reads the values that materialize gives.
// expect: with_statistics | operand_is_not_an_attention | it_has<Pos, KvHead, Group, HeadDim>
#include "common.h"

auto wrong_or_right(Value<f32, Pos, KvHead, Group, HeadDim> q, Value<f32, Key, KvHead, HeadDim> k) {
  const auto score = contract<HeadDim>(q, k);
  const auto a = contract<Key>(softmax<Key>(score), rename<HeadDim, Embed>(k));
#ifdef WRONG
  return materialize(with_statistics(rename<Embed, HeadDim>(materialize(a))));
#else
  return materialize(with_statistics(a));
#endif
}

// A sink varies over axes of the queries.
// expect: softmax | left_operand_lacks<Hidden> | left_has<Pos, KvHead, Group, Key> | right_has<KvHead, Hidden>
#include "common.h"

auto wrong_or_right(Value<f32, Pos, KvHead, Group, HeadDim> q, Value<f32, Key, KvHead, HeadDim> k,
                    Weight<KvHead, Group> sink, Weight<KvHead, Hidden> other) {
  const auto score = contract<HeadDim>(q, k);
#ifdef WRONG
  return materialize(contract<Key>(softmax<Key>(score, other), k));
#else
  return materialize(contract<Key>(softmax<Key>(score, sink), k));
#endif
}

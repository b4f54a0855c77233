// A sink is one more score of a row, not one for each key.
// expect: softmax | a_sink_does_not_vary_along<Key> | right_has<Key>
#include "common.h"

auto wrong_or_right(Value<f32, Pos, KvHead, Group, HeadDim> q, Value<f32, Key, KvHead, HeadDim> k,
                    Weight<KvHead, Group> sink, Value<f32, Key> by_key) {
  const auto score = contract<HeadDim>(q, k);
#ifdef WRONG
  return materialize(contract<Key>(softmax<Key>(score, by_key), k));
#else
  return materialize(contract<Key>(softmax<Key>(score, sink), k));
#endif
}

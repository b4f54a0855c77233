// A sink is an f32, as scores are.
// expect: softmax | wanted<float> | found<int> | use_cast
#include "common.h"

auto wrong_or_right(Value<f32, Pos, KvHead, HeadDim> q, Value<f32, Key, KvHead, HeadDim> k) {
  const auto score = contract<HeadDim>(q, k);
#ifdef WRONG
  return materialize(contract<Key>(softmax<Key>(score, 0), k));
#else
  return materialize(contract<Key>(softmax<Key>(score, 0.0f), k));
#endif
}

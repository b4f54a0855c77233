// Query and key axes mixed up: softmax over the queries, contraction over the keys.
// expect: contract | reduced_along<Pos> | contracted_over<Key>
#include "common.h"

auto wrong_or_right(Value<f32, Pos, KvHead, HeadDim> q, Value<f32, Key, KvHead, HeadDim> k,
                    Value<f32, Key, KvHead, HeadDim> v) {
#ifdef WRONG
  return materialize(contract<Key>(softmax<Pos>(contract<HeadDim>(q, k)), v));
#else
  return materialize(contract<Key>(softmax<Key>(contract<HeadDim>(q, k)), v));
#endif
}

// Keys still on the query axis: they would pair up one to one instead of every query with every key.
// expect: softmax | operand_lacks<Key> | Pos, KvHead
#include "common.h"

auto wrong_or_right(Value<f32, Pos, KvHead, HeadDim> q, Value<f32, Pos, KvHead, HeadDim> k,
                    Value<f32, Key, KvHead, HeadDim> v) {
#ifdef WRONG
  return materialize(contract<Key>(softmax<Key>(contract<HeadDim>(q, k)), v));
#else
  return materialize(contract<Key>(softmax<Key>(contract<HeadDim>(q, rename<Pos, Key>(k))), v));
#endif
}

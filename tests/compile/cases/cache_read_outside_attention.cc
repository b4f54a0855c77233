// A cached field read by anything but attention.
// expect: materialize | cached_values_are_read_by_attention_only | Pos, KvHead, Key
#include "common.h"

auto wrong_or_right(Value<f32, Pos, KvHead, HeadDim> q, Value<f32, Pos, KvHead, HeadDim> k, KvCache& cache) {
  auto [K, V] = materialize(append(cache, k, k));
  auto score = contract<HeadDim>(q, K);
#ifdef WRONG
  return materialize(score);
#else
  return materialize(contract<Key>(softmax<Key>(score), V));
#endif
}

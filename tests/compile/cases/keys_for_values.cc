// K in the place of V: the fields have roles.
// expect: contract | cache_field_is_for_scores
#include "common.h"

using Roles = Cache<ScoreField<Key, KvHead, HeadDim>, ValueField<Key, KvHead, HeadDim>>;

auto wrong_or_right(Value<f32, Pos, KvHead, Group, HeadDim> q, Value<f32, Pos, KvHead, HeadDim> k, Roles& cache) {
  auto [K, V] = materialize(append(cache, k, k));
#ifdef WRONG
  return materialize(contract<Key>(softmax<Key>(contract<HeadDim>(q, K)), K));
#else
  return materialize(contract<Key>(softmax<Key>(contract<HeadDim>(q, K)), V));
#endif
}

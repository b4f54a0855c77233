// A reduction of a score over cached keys: no step gives one. The right twin is what the error's advice leads to.
// expect: reduce | cached_values_are_read_by_attention_only | only_contract_over_a_softmax_reduces_cached_scores
#include "common.h"

auto wrong_or_right(Value<f32, Pos, KvHead, Group, HeadDim> q, Value<f32, Pos, KvHead, HeadDim> k, KvCache& cache) {
  auto [K, V] = materialize(append(cache, k, k));
  auto score = contract<HeadDim>(q, K) * 0.125f;
#ifdef WRONG
  return materialize(exp(score - max<Key>(score)));
#else
  return materialize(contract<Key>(softmax<Key>(score), V));
#endif
}

// Scores that weigh values without a softmax: linear attention is a scan. What is refused says so once.
// expect: contract | cached_values_are_read_by_attention_only | only_contract_over_a_softmax_reduces_cached_scores
#include "common.h"

auto wrong_or_right(Value<f32, Pos, KvHead, Group, HeadDim> q, Value<f32, Pos, KvHead, HeadDim> k, KvCache& cache) {
  auto [K, V] = materialize(append(cache, k, k));
  auto score = contract<HeadDim>(q, K);
#ifdef WRONG
  return materialize(contract<Key>(score, V));
#else
  return materialize(contract<Key>(softmax<Key>(score), V));
#endif
}

// A mask by cache slots, which say nothing of what a token may see.
// expect: compare | element_types_differ<int, slot_number>
#include "common.h"

auto wrong_or_right(Value<f32, Pos, KvHead, HeadDim> q, Value<f32, Pos, KvHead, HeadDim> k, const Batch& batch,
                    KvCache& cache) {
  auto [K, V] = materialize(append(cache, k, k));
#ifdef WRONG
  auto seen = K.pos() <= batch.slots;
#else
  auto seen = K.pos() <= batch.pos;
#endif
  return materialize(contract<Key>(softmax<Key>(where(seen, contract<HeadDim>(q, K), -inf)), V));
}

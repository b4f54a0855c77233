// Storing a value with Group into the KV cache: heads are cached as the model has them, never repeated.
// expect: append | extra_axes<Group> | Pos, KvHead, Group, HeadDim | Key, KvHead, HeadDim
#include "common.h"

auto wrong_or_right(Value<f32, Pos, KvHead, Group, HeadDim> repeated, Value<f32, Pos, KvHead, HeadDim> k,
                    Value<f32, Pos, KvHead, HeadDim> v, KvCache& cache) {
#ifdef WRONG
  return materialize(append(cache, repeated, v));
#else
  return materialize(append(cache, k, v));
#endif
}

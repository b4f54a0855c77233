// f16 is a way to store an f32: a cache stores it so when told, and no expression has that type.
// expect: cast | found<f16> | elements_are_f32_i32_or_bool
#include "common.h"

auto wrong_or_right(Value<f32, Pos, KvHead, HeadDim> k, KvCache& cache) {
#ifdef WRONG
  return materialize(append(cache, cast<f16>(k), k));
#else
  cache.store_fields({Format::f16, Format::f32});
  return materialize(append(cache, k, k));
#endif
}

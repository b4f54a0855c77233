// A field names axes; what it is stored in, store_fields and the plan say.
// expect: cache_field | found<f16, Key, KvHead> | wanted_axes | store_fields_says_what_it_is_stored_in
#include "common.h"

auto wrong_or_right(Graph& graph, const Batch& batch, Value<f32, Pos, KvHead> k) {
#ifdef WRONG
  Cache<Field<f16, Key, KvHead>> cache(graph, batch, "kv");
#else
  Cache<Field<Key, KvHead>> cache(graph, batch, "kv");
  cache.store_fields({Format::f16});
#endif
  return k;
}

#include "core/cache.h"

#include "core/error.h"

namespace weft {

Value<i32, Pos> Batch::slots_of(Graph& graph, int group) const {
  if (group < 0) throw Error("a cache of group " + std::to_string(group));
  if (group == 0) return slots;
  for (const CacheRecord& cache : graph.record()->caches) {
    if (cache.group == group) return {graph.recorder(), cache.slots};
  }
  return graph.input<i32, Pos>("slots." + std::to_string(group));
}

int add_cache(Recorder& recorder, const std::string& name, const AxisInfo* key, const std::vector<AxisList>& fields,
              CacheInputs inputs, int group) {
  GraphRecord& graph = *recorder.record();
  const int index = static_cast<int>(graph.caches.size());
  CacheRecord cache;
  cache.name = name;
  cache.key = recorder.axis(key);
  cache.pos = graph.values[inputs.pos].axes[0];
  cache.pos_values = inputs.pos;
  cache.slots = inputs.slots;
  cache.seq = inputs.seq;
  cache.group = group;
  for (size_t i = 0; i < fields.size(); ++i) {
    ValueRecord field;
    field.name = name + "." + std::to_string(i);
    field.kind = ValueKind::cache_field;
    field.axes = recorder.axes(fields[i]);
    field.cache = index;
    cache.fields.push_back(recorder.add_value(std::move(field)));
  }
  ValueRecord positions;
  positions.name = name + ".pos";
  positions.kind = ValueKind::cache_position;
  positions.format = Format::i32;
  positions.axes = {cache.key};
  positions.cache = index;
  cache.positions = recorder.add_value(std::move(positions));
  graph.caches.push_back(std::move(cache));
  return index;
}

}  // namespace weft

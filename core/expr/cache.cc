#include "core/expr/cache.h"

#include "core/error.h"

namespace weft {

Slots<Pos> Batch::slots_of(Graph& graph, int group) const {
  if (group < 0) throw Error("cache group " + std::to_string(group) + " is negative");
  if (group == 0) return slots;
  for (const CacheRecord& cache : graph.record()->caches) {
    if (cache.group == group) return Slots<Pos>({graph.recorder(), cache.slots});
  }
  return Slots<Pos>(graph.input<i32, Pos>("slots." + std::to_string(group)));
}

namespace {

// The ID of one of the batch's inputs, which must belong to the cache's graph.
template <class Input>
ValueId input_of(const Graph& graph, const Input& value, const std::string& cache, const char* what) {
  if (value.recorder() == nullptr || value.id() == kNoValue) {
    throw Error("cache '" + cache + "': the batch's " + what + " have no value");
  }
  if (value.recorder() != graph.recorder()) {
    throw Error("cache '" + cache + "': the batch belongs to another graph");
  }
  return value.id();
}

}  // namespace

int CacheHandle::index() const {
  if (recorder_ == nullptr) {
    throw Error(
        "a cache handle has no cache: it was default-constructed or moved from. "
        "Cache(graph, batch, name) makes a cache");
  }
  return index_;
}

const std::shared_ptr<Recorder>& CacheHandle::recorder() const {
  index();
  return recorder_;
}

const CacheRecord& CacheHandle::record() const { return recorder()->record()->caches[static_cast<size_t>(index_)]; }

void CacheHandle::name_fields(std::span<const std::string> names) const {
  const CacheRecord& cache = record();
  for (size_t i = 0; i < names.size(); ++i) recorder_->record()->values[cache.fields[i]].name = names[i];
}

void CacheHandle::store_fields(std::span<const Format> formats) const {
  const CacheRecord& cache = record();
  for (const Format format : formats) {
    if (!is_cache_format(format)) {
      throw Error("cache '" + cache.name + "' cannot be stored in " + std::string(weft::name(format)));
    }
  }
  for (size_t i = 0; i < formats.size(); ++i) recorder_->record()->values[cache.fields[i]].format = formats[i];
}

CacheHandle::CacheHandle(Graph& graph, const Batch& batch, const std::string& name, const AxisInfo* key,
                         const std::vector<AxisList>& fields, int group)
    : recorder_(graph.recorder()) {
  GraphRecord& records = *recorder_->record();
  const ValueId pos = input_of(graph, batch.pos, name, "positions"),
                seq = input_of(graph, batch.seq, name, "sequences"),
                slots = input_of(graph, batch.slots_of(graph, group), name, "slots");
  index_ = static_cast<int>(records.caches.size());
  CacheRecord cache;
  cache.name = name;
  cache.key = recorder_->axis(key);
  cache.pos = records.values[pos].axes[0];
  cache.pos_values = pos;
  cache.slots = slots;
  cache.seq = seq;
  cache.group = group;
  for (size_t i = 0; i < fields.size(); ++i) {
    ValueRecord field;
    field.name = name + "." + std::to_string(i);
    field.kind = ValueKind::cache_field;
    field.axes = recorder_->axes(fields[i]);
    field.cache = index_;
    cache.fields.push_back(recorder_->add_value(std::move(field)));
  }
  ValueRecord positions;
  positions.name = name + ".pos";
  positions.kind = ValueKind::cache_position;
  positions.format = Format::i32;
  positions.axes = {cache.key};
  positions.cache = index_;
  cache.positions = recorder_->add_value(std::move(positions));
  records.caches.push_back(std::move(cache));
}

}  // namespace weft

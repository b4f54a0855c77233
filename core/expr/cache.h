// Paged caches, as the typed surface sees them: a list of fields, each with the key axis first.
//
//   using KvCache = Cache<Field<Key, KvHead, HeadDim>, Field<Key, KvHead, HeadDim>>;
//   KvCache cache(graph, batch, "blk.0.kv");
//   auto [K, V] = materialize(append(cache, k, v));
//
// A field is stored as rows of its axes after the key, at native heads: a value with an axis that the field lacks
// (Group, say) cannot be appended; that does not compile. Appending and reading convert: a field may be stored in
// f32 (the default), f16, bf16 or q8_0, as `store_fields` or the plan's options say, and reading it yields f32. Where
// the pages lie is up to runtime/generate/kv_cache.h. Like values, caches are handles to a graph: see Graph for
// threads.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "core/expr/batch.h"

namespace weft {

template <Axis K, Axis... A>
struct Field {
  using key = K;
  using row = Axes<A...>;
  using axes = Axes<K, A...>;
};

// A cached field after an append: for each query, the tokens of the query's sequence. Only attention
// reads it. `pos()` is the position of each cached token, a coordinate over the key axis.
template <class F>
class Paged {
 public:
  using key = typename F::key;

  Paged() = default;
  Paged(std::shared_ptr<Recorder> recorder, ValueId field, ValueId positions)
      : recorder_(std::move(recorder)), field_(field), positions_(positions) {}

  ValueId id() const { return field_; }
  const std::shared_ptr<Recorder>& recorder() const { return recorder_; }

  auto pos() const {
    return Expr<i32, Axes<key>, Stage::map, void, kCoordinate | kPaged>{
        paged_node(recorder_, positions_, Element::i32, {&axis_info<key>})};
  }

 private:
  std::shared_ptr<Recorder> recorder_;
  ValueId field_ = kNoValue;
  ValueId positions_ = kNoValue;
};

template <class F>
auto as_expr(const Paged<F>& paged) {
  return Expr<f32, typename F::axes, Stage::leaf, void, kPaged>{
      paged_node(paged.recorder(), paged.id(), Element::f32, axis_list<typename F::axes>::get())};
}

// What caches share, whatever their fields. Using a handle without a cache throws Error.
class CacheHandle {
 public:
  CacheHandle() = default;

  int index() const;  // into GraphRecord::caches
  const std::shared_ptr<Recorder>& recorder() const;

 protected:
  // Throws Error where the batch belongs to another graph, or where one of its handles has no value.
  CacheHandle(Graph& graph, const Batch& batch, const std::string& name, const AxisInfo* key,
              const std::vector<AxisList>& fields, int group);

  const CacheRecord& record() const;
  void name_fields(std::span<const std::string> names) const;
  void store_fields(std::span<const Format> formats) const;

 private:
  std::shared_ptr<Recorder> recorder_;
  int index_ = -1;
};

// Handle of one layer's cache in a graph. All fields have the same key axis. Layers of one `group` share page
// tables; layers that look back equally far may share a group (LanguageModel::windows).
template <class First, class... Rest>
class Cache : public CacheHandle {
 public:
  using key = typename First::key;
  static_assert((std::is_same_v<key, typename Rest::key> && ...), "the fields of a cache share their key axis");

  Cache() = default;
  Cache(Graph& graph, const Batch& batch, const std::string& name, int group = 0)
      : CacheHandle(graph, batch, name, &axis_info<key>,
                    {axis_list<typename First::axes>::get(), axis_list<typename Rest::axes>::get()...}, group) {}

  template <class F>
  Paged<F> paged(size_t field) const {
    return {recorder(), record().fields[field], record().positions};
  }
  // The names of the fields in traces; by default NAME.0, NAME.1.
  void name_fields(const std::array<std::string, 1 + sizeof...(Rest)>& names) const { CacheHandle::name_fields(names); }
  // What the fields are stored in, unless the plan's options say otherwise. A field whose last extent 32 does not
  // divide is stored in f16 instead of q8_0. Throws Error for a format that caches cannot have.
  void store_fields(const std::array<Format, 1 + sizeof...(Rest)>& formats) const {
    CacheHandle::store_fields(formats);
  }
};

}  // namespace weft

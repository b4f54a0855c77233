// Paged caches, as the typed surface sees them: a list of fields, each with the key axis first.
//
//   using KvCache = Cache<ScoreField<Key, KvHead, HeadDim>, ValueField<Key, KvHead, HeadDim>>;
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

// What attention may read a field as: keys, in scores; or values, which the softmax of the scores weighs.
enum class FieldRole : uint8_t { both, score, value };

namespace cache_detail {

// Why the axes of a field are none.
template <class... A>
consteval auto why_no_field() {
  if constexpr ((Axis<A> && ...)) return allowed;
  else return because_of<refused<op::cache_field, found<A...>, wanted_axes, store_fields_says_what_it_is_stored_in>>;
}

// The axes of a field; those of a refused one do no further harm.
template <class K, class... A>
struct field_axes {
  using key = Key;
  using row = Axes<>;
  using axes = Axes<Key>;
};
template <Axis K, Axis... A>
struct field_axes<K, A...> {
  using key = K;
  using row = Axes<A...>;
  using axes = Axes<K, A...>;
};

}  // namespace cache_detail

// A latent that is both key and value, or a field whose role the model leaves open.
template <class K, class... A>
struct Field : cache_detail::field_axes<K, A...> {
  using why = decltype(cache_detail::why_no_field<K, A...>());
  static constexpr FieldRole role = FieldRole::both;
};
// Keys only: contract<Key>(softmax<Key>(score), K) does not compile.
template <class K, class... A>
struct ScoreField : Field<K, A...> {
  static constexpr FieldRole role = FieldRole::score;
};
// Values only: contract<HeadDim>(q, V) does not compile.
template <class K, class... A>
struct ValueField : Field<K, A...> {
  static constexpr FieldRole role = FieldRole::value;
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
  constexpr unsigned kRole = F::role == FieldRole::score ? kForScores : F::role == FieldRole::value ? kForValues : 0;
  return Expr<f32, typename F::axes, Stage::leaf, void, kPaged | kRole>{
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
  using Why = why_of<decltype(first_refusal(typename First::why{}, typename Rest::why{}...))>;
  static_assert(Why::value, "refused: see this error's types");
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

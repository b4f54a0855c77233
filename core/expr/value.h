// Leaves: values of a graph, tensors, weights; and the graph that is recorded into.
//
//   Graph graph;
//   auto x = graph.input<f32, Pos, Embed>("x");   // bound on each run
//   Weight<Embed> scale = ...;                     // from a file, or of a Tensor
//   auto y = materialize(x * scale);               // a Value<f32, Pos, Embed>: one step of the graph
//   graph.result(y);                               // readable after a run
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "core/expr/expr.h"
#include "core/expr/recorder.h"

namespace weft {

// Zero-filled storage, 64-byte aligned. Throws Error for extents that are negative, overflow, or that a fixed extent
// contradicts; the message names the axis.
std::shared_ptr<Storage> allocate_storage(std::string name, Format format, const AxisList& axes,
                                          std::span<const int64_t> extents);
// Throws Error unless the two are equal.
void check_size(size_t expected, size_t given);

// A handle to something that is, or will be, in memory: contiguous, in the order of its axes. T: f32, i32, bool. A
// default-constructed one may be assigned to; using it in an expression before that throws Error. For threads see
// Graph.
template <ComputeElement T, Axis... A>
  requires(are_distinct<Axes<A...>> && sizeof...(A) <= kMaxRank)
class Value {
 public:
  using element = T;
  using axes = Axes<A...>;

  Value() = default;
  Value(std::shared_ptr<Recorder> recorder, ValueId id) : recorder_(std::move(recorder)), id_(id) {}

  ValueId id() const { return id_; }
  const std::shared_ptr<Recorder>& recorder() const { return recorder_; }

 private:
  std::shared_ptr<Recorder> recorder_;
  ValueId id_ = kNoValue;
};

// Token positions of a step and nothing else: as a coordinate, it broadcasts freely in masks and biases.
template <Axis A>
class Positions : public Value<i32, A> {
 public:
  using Value<i32, A>::Value;
};

// Which sequence a token belongs to, and the slot of a cache that it is written to: caches take these, and nothing else
// takes one for the other, or for a position. Number: sequence_number, slot_number.
template <class Number, Axis A>
class Numbers {
 public:
  Numbers() = default;
  explicit Numbers(Value<i32, A> value) : value_(std::move(value)) {}

  ValueId id() const { return value_.id(); }
  const std::shared_ptr<Recorder>& recorder() const { return value_.recorder(); }

 private:
  Value<i32, A> value_;
};
template <Axis A>
using Sequences = Numbers<sequence_number, A>;
template <Axis A>
using Slots = Numbers<slot_number, A>;

// Owns storage (shared between copies): a constant of every graph that uses it, an input or result of `eval`. T:
// f32, i32, bool, bf16, f16. Extents are in the order of the axes; an axis with a fixed extent must have that
// extent. A default-constructed one may be assigned to; everything else throws Error before that. Threads may
// share one while none of them writes to it.
template <StoredElement T, Axis... A>
  requires(are_distinct<Axes<A...>> && sizeof...(A) <= kMaxRank)
class Tensor {
 public:
  using element = T;
  using axes = Axes<A...>;
  using Extents = std::array<int64_t, sizeof...(A)>;

  Tensor() = default;
  // Zero-filled. Throws Error for a negative extent, or one that contradicts the axis type.
  explicit Tensor(const Extents& extents)
      : storage_(allocate_storage("", format_of<T>, axis_list<axes>::get(), extents)) {}
  // Copies values in memory order; their number must match.
  Tensor(const Extents& extents, std::span<const T> values) : Tensor(extents) { copy_in(values); }
  Tensor(const Extents& extents, std::initializer_list<T> values)
      : Tensor(extents, std::span<const T>(values.begin(), values.size())) {}
  // Shares storage whose format and rank are those of this type, as eval returns it.
  static Tensor of(std::shared_ptr<Storage> storage) {
    Tensor tensor;
    tensor.storage_ = std::move(storage);
    return tensor;
  }

  template <Axis B>
    requires contains_axis<B, axes>
  int64_t extent() const {
    constexpr std::array<bool, sizeof...(A)> same{std::is_same_v<B, A>...};
    size_t at = 0;
    while (!same[at]) ++at;
    return stored().extents[at];
  }
  size_t size() const { return stored().bytes() / sizeof(T); }
  T* data() { return reinterpret_cast<T*>(stored().data); }
  const T* data() const { return reinterpret_cast<const T*>(stored().data); }
  std::span<T> values() { return {data(), size()}; }
  std::span<const T> values() const { return {data(), size()}; }
  const std::shared_ptr<Storage>& storage() const { return storage_; }

 private:
  void copy_in(std::span<const T> values) {
    check_size(size(), values.size());
    std::copy(values.begin(), values.end(), data());
  }
  const Storage& stored() const {
    if (storage_ == nullptr) refuse_unmade_tensor(axis_list<axes>::get());
    return *storage_;
  }

  std::shared_ptr<Storage> storage_;
};

// Typed axes over bytes whose format (f32, bf16, Q8_0 ...) is known when a file is read. Reading it gives f32;
// using one that was never loaded in an expression throws Error. Threads, graphs and plans may share it.
template <Axis... A>
  requires(are_distinct<Axes<A...>> && sizeof...(A) <= kMaxRank)
class Weight {
 public:
  using axes = Axes<A...>;

  Weight() = default;
  explicit Weight(std::shared_ptr<const Storage> storage) : storage_(std::move(storage)) {}
  template <StoredElement T>
  explicit Weight(const Tensor<T, A...>& tensor) : storage_(tensor.storage()) {}

  bool is_loaded() const { return storage_ != nullptr; }
  const std::shared_ptr<const Storage>& storage() const { return storage_; }

 private:
  std::shared_ptr<const Storage> storage_;
};

// Records steps. Copies are handles to the same graph, and a moved-from handle stays one; values keep the graph
// alive. One thread at a time uses a graph and its handles; threads may record into different graphs. A compiled
// plan has its own copy.
class Graph {
 public:
  Graph() = default;
  Graph(const Graph&) = default;
  Graph& operator=(const Graph&) = default;

  template <ComputeElement T, Axis... A>
  Value<T, A...> input(const std::string& name) {
    return {recorder_, add_input(name, format_of<T>, axis_list<Axes<A...>>::get())};
  }
  // Positions, and ids of tokens. Where at<B>(table, ...) takes them as they are, each run checks that they lie within
  // B, and throws Error that names the value, the id and the extent; other ids outside of an axis read as zero.
  template <Axis A>
  Positions<A> positions(const std::string& name) {
    return {recorder_, add_input(name, Format::i32, {&axis_info<A>}, true)};
  }
  template <Axis... A>
  Value<i32, A...> ids(const std::string& name) {
    return {recorder_, add_input(name, Format::i32, axis_list<Axes<A...>>::get(), true)};
  }
  // Keeps a value readable after a run. Throws Error for a value of another graph, or a handle without a value.
  template <ComputeElement T, Axis... A>
  void result(const Value<T, A...>& value) {
    add_result(value.recorder(), value.id(), axis_list<Axes<A...>>::get());
  }

  template <Axis A>
  AxisId axis() {
    return recorder_->axis(&axis_info<A>);
  }
  const std::shared_ptr<Recorder>& recorder() const { return recorder_; }
  std::shared_ptr<const GraphRecord> record() const { return recorder_->record(); }

 private:
  ValueId add_input(const std::string& name, Format format, const AxisList& axes, bool ids_within = false);
  void add_result(const std::shared_ptr<Recorder>& of, ValueId value, const AxisList& axes);

  std::shared_ptr<Recorder> recorder_ = std::make_shared<Recorder>();
};

template <class T, class... A>
auto as_expr(const Value<T, A...>& value) {
  return Expr<T, Axes<A...>, Stage::leaf>{
      value_node(value.recorder(), value.id(), element_of<T>, axis_list<Axes<A...>>::get())};
}
template <class A>
auto as_expr(const Positions<A>& value) {
  return Expr<i32, Axes<A>, Stage::leaf, void, kCoordinate>{
      value_node(value.recorder(), value.id(), Element::i32, axis_list<Axes<A>>::get())};
}
template <class Number, class A>
auto as_expr(const Numbers<Number, A>& value) {
  return Expr<Number, Axes<A>, Stage::leaf>{
      value_node(value.recorder(), value.id(), Element::i32, axis_list<Axes<A>>::get())};
}
template <class T, class... A>
auto as_expr(const Tensor<T, A...>& tensor) {
  return Expr<read_element<T>, Axes<A...>, Stage::leaf>{
      storage_node(tensor.storage(), element_of<read_element<T>>, axis_list<Axes<A...>>::get())};
}
template <class... A>
auto as_expr(const Weight<A...>& weight) {
  return Expr<f32, Axes<A...>, Stage::leaf>{storage_node(weight.storage(), Element::f32, axis_list<Axes<A...>>::get())};
}

}  // namespace weft

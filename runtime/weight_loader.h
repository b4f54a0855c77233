// Fits the tensors of a checkpoint to weights with typed axes, whatever their convention.
//
//   WeightLoader loader(checkpoint);
//   loader.extents<Embed, Vocab>(256, 2048);          // every axis that a weight names needs its extent
//   const LayerNames in = loader.layer(0);
//   loader.load(w.norm, in("attn_norm.weight", "input_layernorm.weight"));    // Weight<Embed>
//   loader.load_parts(in("attn_qkv.weight", "self_attn.qkv_proj.weight"),     // one tensor, or three
//                     part(w.wq, in("attn_q.weight", "self_attn.q_proj.weight")), part(w.wk, ...), part(w.wv, ...));
//   loader.finish();                                  // one Error with all that is missing, mis-shaped or left over
//
// A dimension of the file may hold several adjacent axes; their product must be its extent. A weight refers to the
// mapped file where its elements lie there in one piece; else (an expert per tensor, data at odd addresses) it is put
// together in memory, and the file's pages are dropped.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/value.h"
#include "runtime/checkpoint.h"

namespace weft {

// Names of tensors by convention, within one layer or without.
class TensorNames {
 public:
  TensorNames(Convention convention, std::string prefix) : convention_(convention), prefix_(std::move(prefix)) {}
  std::string operator()(std::string_view gguf, std::string_view hugging_face) const {
    return prefix_ + std::string(convention_ == Convention::gguf ? gguf : hugging_face);
  }

 private:
  Convention convention_;
  std::string prefix_;
};

// For one thread at a time; loaders of one checkpoint are independent.
class WeightLoader {
 public:
  explicit WeightLoader(std::shared_ptr<const Checkpoint> checkpoint) : checkpoint_(not_null(std::move(checkpoint))) {}

  // One extent per axis. Throws Error for an extent below 1, or one that the axis type contradicts.
  template <Axis... A>
  void extents(std::convertible_to<int64_t> auto... extents) {
    static_assert(sizeof...(A) == sizeof...(extents), "one extent per axis");
    (set_extent(&axis_info<A>, extents), ...);
  }

  // "blk.3." in front of GGUF's names, "model.layers.3." in front of Hugging Face's.
  TensorNames layer(size_t layer) const;
  TensorNames names() const { return {checkpoint_->convention(), ""}; }

  bool has(std::string_view tensor) const { return checkpoint_->find(tensor) != nullptr; }
  // Rows of a tensor of two dimensions: its slower extent. Throws Error where there is no such tensor,
  // or one without elements.
  int64_t rows(std::string_view tensor) const;
  // The first of these names that the file has; the first of all where it has none.
  std::string first_of(std::initializer_list<std::string> tensors) const;
  // A tensor that this architecture has no use for, if the file has it.
  void ignore(std::string_view tensor);

  // What is wrong is kept for finish().
  template <Axis... A>
  void load(Weight<A...>& weight, const std::string& tensor) {
    if (auto storage = fit(tensor, axis_list<Axes<A...>>::get())) weight = Weight<A...>(std::move(storage));
  }
  // Leaves the weight unloaded where the file has no such tensor, unless `wanted`.
  template <Axis... A>
  void load_optional(Weight<A...>& weight, const std::string& tensor, bool wanted = false) {
    if (wanted || has(tensor)) load(weight, tensor);
  }

  // Weights that a file may hold in one tensor, one below the other in this order, or in a tensor each.
  struct Part {
    AxisList axes;
    std::string tensor;
    std::function<void(std::shared_ptr<const Storage>)> set;
  };
  template <Axis... A>
  static Part part(Weight<A...>& weight, std::string tensor) {
    return {axis_list<Axes<A...>>::get(), std::move(tensor),
            [&weight](std::shared_ptr<const Storage> storage) { weight = Weight<A...>(std::move(storage)); }};
  }
  void load_parts(const std::string& fused, const std::vector<Part>& parts);

  // Where a weight with an element per expert may lie: in one tensor; in a tensor per expert; or as one of `shares`
  // equal parts, one below the other, of every expert in a tensor that holds several weights (gate above up).
  struct Stack {
    std::string whole;
    std::function<std::string(int64_t)> each;
    std::string fused = {};
    int share = 0, shares = 1;
  };
  template <Axis Expert, Axis... A>
  void load_stack(Weight<Expert, A...>& weight, const Stack& stack) {
    if (auto storage = fit_stack(stack, axis_list<Axes<Expert, A...>>::get())) {
      weight = Weight<Expert, A...>(std::move(storage));
    }
  }

  // A small tensor of one dimension, decoded; nothing if the file has none of that name. Its length is `count`.
  std::vector<float> vector(const std::string& tensor, int64_t count);

  // Throws Error that lists every tensor that was missing, did not fit, or was never asked for (unless it is empty).
  void finish() const;

 private:
  struct Slice {  // consecutive elements of a tensor
    const CheckpointTensor* tensor;
    int64_t first, count;
  };

  void set_extent(const AxisInfo* axis, int64_t extent);
  std::vector<int64_t> extents_of(const AxisList& axes, const std::string& name) const;
  // The tensor, if it is there and has these extents, or adjacent ones of them merged; else null, and a problem noted.
  const CheckpointTensor* use(const std::string& tensor, const std::vector<int64_t>& extents, const AxisList& axes);
  std::shared_ptr<const Storage> fit(const std::string& tensor, const AxisList& axes);
  std::shared_ptr<const Storage> fit_stack(const Stack& stack, const AxisList& axes);
  std::shared_ptr<const Storage> assemble(const std::string& name, std::vector<int64_t> extents,
                                          const std::vector<Slice>& slices);

  std::shared_ptr<const Checkpoint> checkpoint_;
  std::unordered_map<const AxisInfo*, int64_t> extents_;
  std::unordered_set<std::string_view> used_;
  std::vector<std::shared_ptr<const Storage>> fitted_;  // a tensor that is loaded twice (tied) has one storage
  std::vector<std::string> problems_;
};

}  // namespace weft

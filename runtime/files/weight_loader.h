// Fits the tensors of a checkpoint to weights with typed axes, whatever their convention.
//
//   WeightLoader loader(checkpoint);
//   loader.extents<Embed, Vocab>(256, 2048);          // every axis of a weight needs an extent
//   const TensorNames in = loader.layer(0);
//   loader.load(w.norm, in("attn_norm.weight", "input_layernorm.weight"));    // Weight<Embed>
//   loader.load_parts(in("attn_qkv.weight", "self_attn.qkv_proj.weight"),     // one tensor, or three
//                     {loader.part(w.wq, in("attn_q.weight", "self_attn.q_proj.weight")), loader.part(w.wk, ...),
//                      loader.part(w.wv, ...)});
//   loader.finish();                                  // one Error with all that is missing, mis-shaped or left over
//
// A dimension of the file may hold several adjacent axes; their product must be its extent. A weight refers to the
// mapped file where its elements are contiguous there; otherwise (an expert per tensor, data at odd addresses) it
// refers to its pieces, which a device joins in memory, or packs from where they are. Where a GGUF file has X.scale
// beside X.weight (of NVFP4), one number or one per expert, the weight's elements are multiplied by it.
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

#include "core/expr/value.h"
#include "runtime/files/checkpoint.h"
#include "runtime/files/model_declaration.h"

namespace weft {

// The names of a tensor in each convention. Converts to the name in the file at hand.
class TensorName {
 public:
  TensorName(std::string name) : TensorName(Convention::gguf, name, name) {}  // the same in both
  TensorName(const char* name) : TensorName(std::string(name)) {}
  TensorName(Convention convention, std::string gguf, std::string hugging_face)
      : convention_(convention), gguf_(std::move(gguf)), hugging_face_(std::move(hugging_face)) {}

  const std::string& gguf() const { return gguf_; }
  const std::string& here() const { return convention_ == Convention::gguf ? gguf_ : hugging_face_; }
  operator std::string() const { return here(); }
  operator std::string_view() const { return here(); }
  TensorName operator+(std::string_view suffix) const {
    return {convention_, gguf_ + std::string(suffix), hugging_face_ + std::string(suffix)};
  }

 private:
  Convention convention_;
  std::string gguf_, hugging_face_;
};

// Names of tensors within one layer, or outside of layers.
class TensorNames {
 public:
  TensorNames(Convention convention, std::string gguf_prefix, std::string hugging_face_prefix)
      : convention_(convention), gguf_(std::move(gguf_prefix)), hugging_face_(std::move(hugging_face_prefix)) {}
  TensorName operator()(std::string_view gguf, std::string_view hugging_face) const {
    return {convention_, gguf_ + std::string(gguf), hugging_face_ + std::string(hugging_face)};
  }

 private:
  Convention convention_;
  std::string gguf_, hugging_face_;
};

// How files of the two conventions hold the same weight, where more than the name differs.
struct WeightOptions {
  float offset = 0;          // Hugging Face's files hold each element less this
  int64_t rotated_rows = 0;  // rows of a head: GGUF has rotary pairs side by side, Hugging Face half of this apart
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

  // The prefix "blk.3." for GGUF's names, "model.layers.3." for Hugging Face's.
  TensorNames layer(size_t layer) const;
  TensorNames names() const { return {checkpoint_->convention(), "", ""}; }

  bool has(std::string_view tensor) const { return checkpoint_->find(tensor) != nullptr; }
  // Rows of a tensor of two dimensions: its slower extent. Throws Error if the tensor is missing or has no
  // elements.
  int64_t rows(std::string_view tensor) const;
  // The first of these names that the file has; the first of all if it has none.
  TensorName first_of(std::initializer_list<TensorName> tensors) const;
  // A tensor that this architecture does not use, if the file has it.
  void ignore(std::string_view tensor);

  // Problems are kept for finish().
  template <Axis... A>
  void load(Weight<A...>& weight, const TensorName& tensor, const WeightOptions& options = {}) {
    if (auto storage = fit(tensor, axis_list<Axes<A...>>::get(), options)) weight = Weight<A...>(std::move(storage));
  }
  // Leaves the weight unloaded where the file has no such tensor, unless `wanted`.
  template <Axis... A>
  void load_optional(Weight<A...>& weight, const TensorName& tensor, bool wanted = false) {
    if (wanted || has(tensor)) load(weight, tensor);
  }

  // Weights that a file may hold in one tensor, stacked in this order, or in a tensor each.
  struct Part {
    AxisList axes;
    TensorName tensor;
    WeightOptions options;
    std::function<void(std::shared_ptr<const Storage>)> set;
  };
  template <Axis... A>
  static Part part(Weight<A...>& weight, TensorName tensor, const WeightOptions& options = {}) {
    return {axis_list<Axes<A...>>::get(), std::move(tensor), options,
            [&weight](std::shared_ptr<const Storage> storage) { weight = Weight<A...>(std::move(storage)); }};
  }
  void load_parts(const TensorName& fused, const std::vector<Part>& parts);

  // Where a weight with an element per expert may be: in one tensor; in a tensor per expert; or as one of `shares`
  // equal parts, stacked, of every expert in a tensor that holds several weights (gate above up).
  struct Stack {
    TensorName whole;
    std::function<TensorName(int64_t)> each;
    TensorName fused = "";
    int share = 0, shares = 1;
  };
  template <Axis Expert, Axis... A>
  void load_stack(Weight<Expert, A...>& weight, const Stack& stack) {
    if (auto storage = fit_stack(stack, axis_list<Axes<Expert, A...>>::get())) {
      weight = Weight<Expert, A...>(std::move(storage));
    }
  }

  // A small tensor of one dimension, decoded; nothing if the file lacks it. Its length is `count`.
  std::vector<float> vector(const std::string& tensor, int64_t count);

  // Throws Error that lists every tensor that was missing, did not fit, or was never read (unless it is empty).
  void finish() const;

  // What was loaded so far, as a GGUF file would have it.
  const std::vector<DeclaredWeight>& declared() const { return declared_; }

 private:
  using Slice = DeclaredWeight::Slice;

  void set_extent(const AxisInfo* axis, int64_t extent);
  std::vector<int64_t> extents_of(const AxisList& axes, const std::string& name) const;
  // The tensor, if it exists and has these extents, or adjacent ones merged; else null, and a problem is noted.
  const CheckpointTensor* use(const std::string& tensor, const std::vector<int64_t>& extents, const AxisList& axes);
  std::shared_ptr<const Storage> fit(const TensorName& tensor, const AxisList& axes, const WeightOptions& options = {});
  std::shared_ptr<const Storage> fit_stack(const Stack& stack, const AxisList& axes);
  // Scales that a GGUF file has beside the tensors of a weight; null where it has none.
  std::shared_ptr<const Storage> scale_of(const std::string& weight, const std::vector<int64_t>& extents,
                                          const std::vector<Slice>& slices);
  // `extents` in the graph, `stored` in a GGUF file.
  std::shared_ptr<const Storage> assemble(const TensorName& name, std::vector<int64_t> extents,
                                          std::vector<int64_t> stored, std::vector<Slice> slices,
                                          const WeightOptions& options = {});

  std::shared_ptr<const Checkpoint> checkpoint_;
  std::unordered_map<const AxisInfo*, int64_t> extents_;
  std::unordered_set<std::string_view> used_;
  std::vector<std::shared_ptr<const Storage>> fitted_;  // a tensor that is loaded twice (tied) has one storage
  std::vector<DeclaredWeight> declared_;
  std::vector<std::string> problems_;
};

}  // namespace weft

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
// mapped file where its elements are contiguous there; otherwise (an expert per tensor, data at odd addresses, another
// order or form: runtime/files/arranged_bytes.h) it refers to what it is made of, which a device packs from where it
// is, or puts together in memory for kernels that read weights as stored.
//
// Tensors that belong together are found by their names. Of GGUF files: X.scale beside X.weight (of NVFP4), one number
// or one per expert, by which the weight's elements are multiplied. Of Hugging Face's: X_scale_inv beside an X of 8-bit
// floats (F8_E4M3), a scale per block of the extents that config.json states; X_blocks and X_scales, MXFP4, for X.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/expr/value.h"
#include "runtime/files/arranged_bytes.h"
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
  bool transposed = false;   // Hugging Face's files hold a matrix [inputs, outputs]: its last two dimensions exchanged
  int64_t rotated_rows = 0;  // rows of a head: GGUF has rotary pairs side by side, Hugging Face half of this apart
};

// For one thread at a time; loaders of one checkpoint are independent.
class WeightLoader {
 public:
  explicit WeightLoader(std::shared_ptr<const Checkpoint> checkpoint);

  // One extent per axis. Throws Error for an extent below 1, or one that the axis type contradicts.
  template <Axis... A>
  void extents(std::convertible_to<int64_t> auto... extents) {
    static_assert(sizeof...(A) == sizeof...(extents), "one extent per axis");
    (set_extent(&axis_info<A>, extents), ...);
  }

  // The prefix "blk.3." for GGUF's names, and for Hugging Face's "model.layers.3.", or what the family declares
  // (ModelFamily::prefixes, layer_prefixes).
  TensorNames layer(size_t layer) const;
  TensorNames names() const { return {checkpoint_->convention(), "", prefix_}; }
  // Of what stands beside the model, which Hugging Face's files name without the family's prefix ("lm_head.weight").
  TensorNames head_names() const { return {checkpoint_->convention(), "", ""}; }

  // As one tensor, or as blocks and scales.
  bool has(std::string_view tensor) const;
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
  void load_optional(Weight<A...>& weight, const TensorName& tensor, bool wanted = false,
                     const WeightOptions& options = {}) {
    if (wanted || has(tensor)) load(weight, tensor, options);
  }

  // Weights that a file may hold in one tensor, stacked in this order, or in a tensor each. `fused_in_gguf`: which of
  // these a converter writes.
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
  void load_parts(const TensorName& fused, const std::vector<Part>& parts, bool fused_in_gguf = false);

  // Where a weight with an element per expert may be: in one tensor; in a tensor per expert, if `each` names them; or
  // as one of `shares` equal parts of every expert in a tensor that holds several weights: stacked (gate above up), or,
  // if `alternate`, row by row in turns.
  struct Stack {
    TensorName whole;
    std::function<TensorName(int64_t)> each = {};
    TensorName fused = "";
    int share = 0, shares = 1;
    bool alternate = false;
    WeightOptions options = {};
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

  // A tensor as plans would read it: transposed ones with their extents exchanged.
  struct Found {
    StoredRows rows;  // all of them
    std::vector<int64_t> extents;
  };

  void set_extent(const AxisInfo* axis, int64_t extent);
  std::vector<int64_t> extents_of(const AxisList& axes, const std::string& name) const;
  // The tensor, if it exists and has these extents, or adjacent ones merged; else nothing, and a problem is noted.
  std::optional<Found> use(const std::string& tensor, const std::vector<int64_t>& extents, const AxisList& axes,
                           const WeightOptions& options = {});
  // The same, whatever its extents are. Nothing, and no problem, where it is not there.
  std::optional<Found> find(const std::string& tensor, bool transposed);
  void find_block_scales(const std::string& tensor, Found& found);
  std::shared_ptr<const Storage> fit(const TensorName& tensor, const AxisList& axes, const WeightOptions& options = {});
  std::shared_ptr<const Storage> fit_stack(const Stack& stack, const AxisList& axes);
  // Scales that a GGUF file has beside the tensors of a weight; null where it has none.
  std::shared_ptr<const Storage> scale_of(const std::string& weight, const std::vector<int64_t>& extents,
                                          const std::vector<StoredRows>& parts);
  // The format in which all parts are read; nothing, and a problem is noted, where there is none.
  std::optional<Format> common_format(const TensorName& name, const std::vector<StoredRows>& parts);
  // What a plan reads, with these extents.
  std::shared_ptr<const Storage> assemble(const TensorName& name, std::vector<int64_t> extents,
                                          const std::vector<StoredRows>& parts, const WeightOptions& options);
  // What a converter writes, with these extents.
  void declare(const TensorName& name, std::vector<int64_t> extents, const std::vector<StoredRows>& parts,
               const WeightOptions& options);
  // What a plan reads of consecutive elements of tensors.
  void refer(Storage& storage, const std::vector<Slice>& slices, const WeightOptions& options);

  std::shared_ptr<const Checkpoint> checkpoint_;
  std::string prefix_, layer_prefix_;  // of Hugging Face's names
  std::unordered_map<const AxisInfo*, int64_t> extents_;
  std::unordered_set<std::string_view> used_;
  std::vector<std::shared_ptr<const Storage>> fitted_;  // a tensor that is loaded twice (tied) has one storage
  std::vector<DeclaredWeight> declared_;
  std::vector<std::string> problems_;
};

}  // namespace weft

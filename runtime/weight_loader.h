// Fits the tensors of a file to weights with typed axes.
//
//   WeightLoader loader(file);
//   loader.extents<Embed, Vocab>(256, 2048);          // every axis that a weight names needs its extent
//   loader.load(layer.wq, "blk.0.attn_q.weight");     // Weight<KvHead, Group, HeadDim, Embed>: [256, 256] in the file
//   loader.finish();                                  // one Error with all that is missing, mis-shaped or left over
//
// A dimension of the file may hold several adjacent axes; their product must be its extent. Nothing is copied: the
// weight refers to the mapped file.
#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/value.h"
#include "runtime/gguf.h"

namespace weft {

class WeightLoader {
 public:
  explicit WeightLoader(std::shared_ptr<const GgufFile> file) : file_(std::move(file)) {}

  // One extent per axis. Throws Error for an extent below 1, or one that the axis type contradicts.
  template <Axis... A>
  void extents(std::convertible_to<int64_t> auto... extents) {
    static_assert(sizeof...(A) == sizeof...(extents), "one extent per axis");
    (set_extent(&axis_info<A>, extents), ...);
  }

  bool has(std::string_view tensor) const { return file_->find_tensor(tensor) != nullptr; }

  // What is wrong is kept for finish().
  template <Axis... A>
  void load(Weight<A...>& weight, const std::string& tensor) {
    if (auto storage = fit(tensor, axis_list<Axes<A...>>::get())) weight = Weight<A...>(std::move(storage));
  }

  // A small tensor of one dimension, decoded; nothing if the file has none of that name. Its length is `count`.
  std::vector<float> vector(const std::string& tensor, int64_t count);

  // Throws Error that lists every tensor that was missing, did not fit, or was never asked for.
  void finish() const;

 private:
  void set_extent(const AxisInfo* axis, int64_t extent);
  std::shared_ptr<const Storage> fit(const std::string& tensor, const AxisList& axes);

  std::shared_ptr<const GgufFile> file_;
  std::unordered_map<const AxisInfo*, int64_t> extents_;
  std::unordered_set<std::string_view> used_;
  std::vector<std::shared_ptr<const Storage>> fitted_;  // a tensor that is loaded twice (tied) has one storage
  std::vector<std::string> problems_;
};

}  // namespace weft

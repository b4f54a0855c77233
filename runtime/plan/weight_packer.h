// Weights in the layout that kernels read.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "ops/cpu/kernel.h"

namespace weft {

// Keeps the weights of a plan, and copies of those that had to be transposed.
//
// pack() returns the whole storage of the operand's weight with the axes of its view in this order: first those
// not in `axes`, gathered ones included, in the order of the view; then `axes`. So an Operand whose view is put in
// that order, resolved as usual, addresses the result. Slices keep their `begin`.
class PackedWeights final : public WeightPacker {
 public:
  // `extents`: by AxisId; the axes of weights are known.
  PackedWeights(const GraphRecord& graph, const int64_t* extents) : graph_(graph), extents_(extents) {}

  const std::byte* pack(const Region& region, const Operand& operand, std::span<const AxisId> axes,
                        Format& format) override;

  size_t bytes() const { return bytes_; }  // of the copies

 private:
  // Weight, extents of the view's axes from slow to fast, and their order in the copy.
  using Key = std::pair<const Storage*, std::pair<std::vector<int64_t>, std::vector<size_t>>>;

  const GraphRecord& graph_;
  const int64_t* extents_;
  std::map<Key, std::unique_ptr<float[]>> copies_;
  size_t bytes_ = 0;
};

}  // namespace weft

// Weights in the layouts that kernels read.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <tuple>
#include <vector>

#include "core/aligned_bytes.h"
#include "core/record/graph.h"
#include "core/record/layout.h"
#include "core/weak_map.h"
#include "ops/weight_layouts.h"

namespace weft {

// A weight in another layout than it is stored in.
struct PackedWeight {
  std::shared_ptr<const Storage> storage;  // which is thus not freed while this can be found by its address
  AlignedBytes bytes;
};

// The packed weights of a device, shared by all plans on it. A weight is packed when a plan first asks for it, and
// freed with the last plan that uses it. Threads may ask at once.
class PackedWeights {
 public:
  PackedWeights() = default;
  PackedWeights(const PackedWeights&) = delete;
  PackedWeights& operator=(const PackedWeights&) = delete;

  // In an interleaved layout, packed by `threads` threads. Pages of a mapped file that have been packed leave the
  // process.
  std::shared_ptr<const PackedWeight> interleaved(const std::shared_ptr<const Storage>& storage, const Layout& layout,
                                                  const MatrixShape& shape, int threads);
  // As f32, with the axes of a view, whose extents in storage are `extents`, in `order`.
  std::shared_ptr<const PackedWeight> transposed(const std::shared_ptr<const Storage>& storage,
                                                 const std::vector<int64_t>& extents, const std::vector<size_t>& order);

 private:
  // Storage; layout and shape; extents and order.
  WeakMap<std::tuple<const Storage*, Layout, MatrixShape, std::vector<int64_t>, std::vector<size_t>>, PackedWeight>
      weights_;
};

// The weights of one plan.
class PlanWeights {
 public:
  // `extents`: by AxisId; the axes of weights are known. Both outlive this, as does `device`.
  PlanWeights(const GraphRecord& graph, const int64_t* extents, WeightLayouts layouts, PackedWeights& device,
              int threads)
      : graph_(graph), extents_(extents), layouts_(std::move(layouts)), device_(device), threads_(threads) {}

  // Null where the weight stays as stored.
  const ChosenLayout* layout_of(ValueId weight) const;
  // In that layout.
  const std::byte* interleaved(ValueId weight);

  // The whole storage of an operand's weight with the axes of its view in this order: first those not in `axes`,
  // gathered ones included, in the order of the view; then `axes`. So an Operand whose view is put in that order,
  // resolved as usual, addresses the result. Slices keep their `begin`. Sets `format` to that of the result: F32 where
  // something had to be moved, else the stored one.
  const std::byte* with_last(const Operand& operand, std::span<const AxisId> axes, Format& format);

  size_t packed_bytes() const { return packed_bytes_; }      // of all that is not as stored
  size_t replaced_bytes() const { return replaced_bytes_; }  // as stored, of what is not read as stored any more

 private:
  void keep(std::shared_ptr<const PackedWeight> weight, bool replaces);

  const GraphRecord& graph_;
  const int64_t* extents_;
  WeightLayouts layouts_;
  PackedWeights& device_;
  int threads_;
  std::vector<std::shared_ptr<const PackedWeight>> kept_;
  size_t packed_bytes_ = 0, replaced_bytes_ = 0;
};

}  // namespace weft

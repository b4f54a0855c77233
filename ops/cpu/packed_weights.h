// Weights in the layouts that kernels read.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <tuple>
#include <vector>

#include "core/record/graph.h"
#include "core/record/layout.h"
#include "core/weak_map.h"
#include "ops/weight_layouts.h"

namespace weft {

// A weight in another layout than it is stored in.
struct PackedWeight {
  std::shared_ptr<const Storage> storage;  // which is thus not freed while this can be found by its address
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;  // of the bytes
  bool is_mapped = false;             // they lie in a file
};
using PackedWeightPtr = std::shared_ptr<const PackedWeight>;

// A weight that is to be in an interleaved layout.
struct WantedWeight {
  std::shared_ptr<const Storage> storage;
  ChosenLayout chosen;
};

// The packed weights of a device, shared by all plans on it. A weight is packed when a plan first asks for it, and
// freed with the last plan that uses it. Threads may ask at once.
class PackedWeights {
 public:
  PackedWeights() = default;
  PackedWeights(const PackedWeights&) = delete;
  PackedWeights& operator=(const PackedWeights&) = delete;

  // One for each that is wanted; those that the device does not hold are packed by `threads` threads (see
  // ops/cpu/pack.h). Throws Error where memory runs out.
  std::vector<PackedWeightPtr> interleaved(std::span<const WantedWeight> wanted, int threads);
  // Whether the device holds all of these.
  bool holds(std::span<const WantedWeight> wanted);
  // Makes these bytes, as packing gives them, the device's, unless it holds the weight. Returns what it holds.
  PackedWeightPtr hold(const WantedWeight& wanted, std::span<const std::byte> bytes, std::shared_ptr<const void> owner);
  // As f32, with the axes of a view, whose extents in storage are `extents`, in `order`.
  PackedWeightPtr transposed(const std::shared_ptr<const Storage>& storage, const std::vector<int64_t>& extents,
                             const std::vector<size_t>& order);

 private:
  // Storage; layout and shape; extents and order.
  using Key = std::tuple<const Storage*, Layout, MatrixShape, std::vector<int64_t>, std::vector<size_t>>;
  static Key key_of(const WantedWeight& wanted);
  std::mutex interleaving_;  // weights that can be found are packed for who has this
  WeakMap<Key, PackedWeight> weights_;
};

// The weights of a graph that are to be in interleaved layouts, in its order.
std::vector<WantedWeight> wanted_weights(const GraphRecord& graph, const WeightLayouts& layouts);

// The weights of one plan.
class PlanWeights {
 public:
  // `extents`: by AxisId; the axes of weights are known. Both outlive this, as does `device`.
  // `interleaved`: of the wanted weights of graph and layouts.
  PlanWeights(const GraphRecord& graph, const int64_t* extents, WeightLayouts layouts,
              std::vector<PackedWeightPtr> interleaved, PackedWeights& device);

  // Null where the weight stays as stored.
  const ChosenLayout* layout_of(ValueId weight) const;
  // In that layout.
  const std::byte* interleaved(ValueId weight) const;

  // The whole storage of an operand's weight with the axes of its view in this order: first those not in `axes`,
  // gathered ones included, in the order of the view; then `axes`. So an Operand whose view is put in that order,
  // resolved as usual, addresses the result. Slices keep their `begin`. Sets `format` to that of the result: F32 where
  // something had to be moved, else the stored one.
  const std::byte* with_last(const Operand& operand, std::span<const AxisId> axes, Format& format);

  size_t packed_bytes() const { return packed_bytes_; }      // of all that is not as stored
  size_t mapped_bytes() const { return mapped_bytes_; }      // of these, what lies in a file
  size_t replaced_bytes() const { return replaced_bytes_; }  // as stored, of what is not read as stored any more

 private:
  void keep(PackedWeightPtr weight);

  const GraphRecord& graph_;
  const int64_t* extents_;
  WeightLayouts layouts_;
  PackedWeights& device_;
  std::map<const Storage*, const PackedWeight*> interleaved_;
  std::vector<PackedWeightPtr> kept_;
  size_t packed_bytes_ = 0, mapped_bytes_ = 0, replaced_bytes_ = 0;
};

}  // namespace weft

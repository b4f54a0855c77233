#include "ops/cpu/packed_weights.h"

#include <algorithm>
#include <set>
#include <utility>

#include "core/aligned_bytes.h"
#include "core/error.h"
#include "core/pages.h"
#include "core/record/axis_list.h"
#include "ops/cpu/pack.h"

namespace weft {

namespace {

// out[coordinates in the new order] = in[coordinates], for storage of `extents` that is read from front to back.
void transpose(const Storage& storage, const std::vector<int64_t>& extents, const std::vector<size_t>& order,
               float* out) {
  const size_t rank = extents.size();
  std::vector<int64_t> out_stride(rank);  // by axis of the old order
  int64_t stride = 1;
  for (size_t i = rank; i-- > 0;) {
    out_stride[order[i]] = stride;
    stride *= extents[order[i]];
  }
  constexpr size_t kChunk = 4096;  // elements decoded at a time: whole blocks of every format
  const std::byte* stored = storage.stored();
  std::vector<float> decoded(kChunk);
  std::vector<int64_t> at(rank);
  const auto elements = static_cast<size_t>(stride);
  for (size_t begin = 0; begin < elements; begin += kChunk) {
    const size_t count = std::min(kChunk, elements - begin);
    decode_row(storage.format, stored + row_bytes(storage.format, begin), count, decoded.data());
    for (size_t i = 0; i < count; ++i) {
      int64_t offset = 0;
      for (size_t axis = 0; axis < rank; ++axis) offset += at[axis] * out_stride[axis];
      out[offset] = decoded[i];
      for (size_t axis = rank; axis-- > 0;) {
        if (++at[axis] < extents[axis]) break;
        at[axis] = 0;
      }
    }
  }
}

// Memory for a weight that is then packed.
std::shared_ptr<PackedWeight> new_weight(const std::shared_ptr<const Storage>& storage, size_t bytes,
                                         std::byte*& memory) {
  try {
    const auto block = std::make_shared<AlignedBytes>(bytes);
    memory = block->data();
    return std::make_shared<PackedWeight>(PackedWeight{storage, {memory, bytes}, block});
  } catch (const Error&) {
    throw Error("out of memory: the packed copy of weight '" + storage->name + "' takes " + std::to_string(bytes) +
                " bytes");
  }
}

}  // namespace

PackedWeights::Key PackedWeights::key_of(const WantedWeight& wanted) {
  return {wanted.storage.get(), wanted.chosen.layout, wanted.chosen.shape, {}, {}};
}

std::vector<PackedWeightPtr> PackedWeights::interleaved(std::span<const WantedWeight> wanted, int threads) {
  const std::lock_guard lock(interleaving_);
  std::vector<PackedWeightPtr> weights;
  std::vector<PackJob> jobs;
  for (const WantedWeight& want : wanted) {
    weights.push_back(weights_.find_or_make(key_of(want), [&] {
      const Interleaved to(want.storage->format, want.chosen.layout, want.chosen.shape);
      std::byte* memory = nullptr;
      auto weight = new_weight(want.storage, to.bytes(), memory);
      use_huge_pages(memory, memory + to.bytes());
      jobs.push_back({want.storage.get(), to, memory});
      return weight;
    }));
  }
  pack(std::move(jobs), threads);
  return weights;
}

bool PackedWeights::holds(std::span<const WantedWeight> wanted) {
  const std::lock_guard lock(interleaving_);
  return std::ranges::all_of(wanted, [&](const WantedWeight& want) { return weights_.has(key_of(want)); });
}

PackedWeightPtr PackedWeights::hold(const WantedWeight& wanted, std::span<const std::byte> bytes,
                                    std::shared_ptr<const void> owner) {
  const std::lock_guard lock(interleaving_);
  return weights_.find_or_make(key_of(wanted), [&] {
    return std::make_shared<PackedWeight>(PackedWeight{wanted.storage, bytes, std::move(owner), true});
  });
}

PackedWeightPtr PackedWeights::transposed(const std::shared_ptr<const Storage>& storage,
                                          const std::vector<int64_t>& extents, const std::vector<size_t>& order) {
  return weights_.find_or_make({storage.get(), {}, {}, extents, order}, [&] {
    int64_t elements = 1;
    for (const int64_t extent : extents) elements *= extent;
    std::byte* memory = nullptr;
    auto weight = new_weight(storage, static_cast<size_t>(elements) * sizeof(float), memory);
    transpose(*storage, extents, order, reinterpret_cast<float*>(memory));
    return weight;
  });
}

std::vector<WantedWeight> wanted_weights(const GraphRecord& graph, const WeightLayouts& layouts) {
  std::vector<WantedWeight> wanted;
  std::set<const Storage*> seen;
  for (const ValueRecord& value : graph.values) {
    const auto chosen = layouts.find(value.storage.get());
    if (chosen != layouts.end() && seen.insert(chosen->first).second) wanted.push_back({value.storage, chosen->second});
  }
  return wanted;
}

PlanWeights::PlanWeights(const GraphRecord& graph, const int64_t* extents, WeightLayouts layouts,
                         std::vector<PackedWeightPtr> interleaved, PackedWeights& device)
    : graph_(graph), extents_(extents), layouts_(std::move(layouts)), device_(device) {
  for (PackedWeightPtr& weight : interleaved) {
    interleaved_[weight->storage.get()] = weight.get();
    replaced_bytes_ += weight->storage->bytes();
    keep(std::move(weight));
  }
}

void PlanWeights::keep(PackedWeightPtr weight) {
  if (std::find(kept_.begin(), kept_.end(), weight) != kept_.end()) return;
  packed_bytes_ += weight->bytes.size();
  if (weight->is_mapped) mapped_bytes_ += weight->bytes.size();
  kept_.push_back(std::move(weight));
}

const ChosenLayout* PlanWeights::layout_of(ValueId weight) const {
  const auto at = layouts_.find(graph_.values[weight].storage.get());
  return at == layouts_.end() ? nullptr : &at->second;
}

const std::byte* PlanWeights::interleaved(ValueId weight) const {
  const ValueRecord& value = graph_.values[weight];
  const auto packed = interleaved_.find(value.storage.get());
  if (packed == interleaved_.end()) throw Error("weight '" + value.name + "' stays as stored");
  return packed->second->bytes.data();
}

const std::byte* PlanWeights::with_last(const Operand& operand, std::span<const AxisId> axes, Format& format) {
  const ValueRecord& value = graph_.values[operand.value];
  if (value.kind != ValueKind::weight)
    throw Error("value '" + value.name + "' is not a weight, so it cannot be packed");
  const Storage& storage = *value.storage;

  std::vector<int64_t> extents;
  std::vector<size_t> order;
  for (const ViewAxis& axis : operand.view) extents.push_back(extents_[axis.stored]);
  const auto is_wanted = [&](const ViewAxis& axis) { return axis.gather < 0 && contains(axes, axis.axis); };
  for (size_t i = 0; i < operand.view.size(); ++i) {
    if (!is_wanted(operand.view[i])) order.push_back(i);
  }
  for (const AxisId wanted : axes) {
    for (size_t i = 0; i < operand.view.size(); ++i) {
      if (operand.view[i].gather < 0 && operand.view[i].axis == wanted) order.push_back(i);
    }
  }
  if (order.size() != operand.view.size()) throw Error("weight '" + value.name + "' lacks an axis to be packed by");

  // Axes of extent 1 may be anywhere.
  std::vector<size_t> moving;
  std::copy_if(order.begin(), order.end(), std::back_inserter(moving), [&](size_t i) { return extents[i] != 1; });
  int64_t elements = 1;
  for (const int64_t extent : extents) elements *= extent;
  if (elements == 0 || std::is_sorted(moving.begin(), moving.end())) {
    format = storage.format;
    return storage.stored();
  }
  if (!info(storage.format).is_float) throw Error("weight '" + value.name + "' holds no floats to pack");
  format = Format::f32;
  const auto packed = device_.transposed(value.storage, extents, order);
  keep(packed);
  return packed->bytes.data();
}

}  // namespace weft

#include "ops/cpu/packed_weights.h"

#include <omp.h>

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/pages.h"
#include "core/record/axis_list.h"
#include "ops/cpu/team.h"

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

void interleave(const Storage& storage, const Interleaved& to, int threads, std::byte* out) {
  // Pages of files are dropped as they are read, so that no weight is in memory twice.
  const size_t group_stored =
      static_cast<size_t>(to.layout().rows) * row_bytes(storage.format, static_cast<size_t>(to.shape().k));
  const int64_t groups = to.shape().slices * to.groups();
  const auto chunk = std::max<int64_t>(static_cast<int64_t>((size_t{4} << 20) / std::max<size_t>(group_stored, 1)), 1);
  const int64_t chunks = (groups + chunk - 1) / chunk;
  if (storage.is_mapped) keep_pages_apart(storage.data, storage.data + storage.bytes());
  std::vector<std::vector<std::byte>> copies(static_cast<size_t>(threads));  // of pieces, for each thread
  if (storage.pieces != nullptr) {
    for (std::vector<std::byte>& copy : copies) copy.resize(static_cast<size_t>(chunk) * group_stored);
  }
  sleep_between_regions();
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (int64_t c = 0; c < chunks; ++c) {
    const int64_t first = c * chunk, last = std::min(first + chunk, groups);
    const size_t begin = to.stored_at(first), bytes = to.stored_at(last) - begin;
    const std::byte* stored = storage.stored(begin, bytes, copies[static_cast<size_t>(omp_get_thread_num())]);
    to.pack_groups(stored, first, last - first, out + static_cast<size_t>(first) * to.group_bytes());
    if (storage.is_mapped) drop_pages(stored, stored + bytes);
  }
  // What lies across the ends of chunks.
  if (storage.is_mapped) drop_pages(storage.data, storage.data + storage.bytes());
}

std::shared_ptr<PackedWeight> new_weight(const std::shared_ptr<const Storage>& storage, size_t bytes) {
  try {
    return std::make_shared<PackedWeight>(PackedWeight{storage, AlignedBytes(bytes)});
  } catch (const Error&) {
    throw Error("out of memory: the packed copy of weight '" + storage->name + "' takes " + std::to_string(bytes) +
                " bytes");
  }
}

}  // namespace

std::shared_ptr<const PackedWeight> PackedWeights::interleaved(const std::shared_ptr<const Storage>& storage,
                                                               const Layout& layout, const MatrixShape& shape,
                                                               int threads) {
  return weights_.find_or_make({storage.get(), layout, shape, {}, {}}, [&] {
    const Interleaved to(storage->format, layout, shape);
    auto weight = new_weight(storage, to.bytes());
    use_huge_pages(weight->bytes.data(), weight->bytes.data() + weight->bytes.size());
    interleave(*storage, to, threads, weight->bytes.data());
    return weight;
  });
}

std::shared_ptr<const PackedWeight> PackedWeights::transposed(const std::shared_ptr<const Storage>& storage,
                                                              const std::vector<int64_t>& extents,
                                                              const std::vector<size_t>& order) {
  return weights_.find_or_make({storage.get(), {}, {}, extents, order}, [&] {
    int64_t elements = 1;
    for (const int64_t extent : extents) elements *= extent;
    auto weight = new_weight(storage, static_cast<size_t>(elements) * sizeof(float));
    transpose(*storage, extents, order, reinterpret_cast<float*>(weight->bytes.data()));
    return weight;
  });
}

void PlanWeights::keep(std::shared_ptr<const PackedWeight> weight, bool replaces) {
  if (std::find(kept_.begin(), kept_.end(), weight) != kept_.end()) return;
  packed_bytes_ += weight->bytes.size();
  if (replaces) replaced_bytes_ += weight->storage->bytes();
  kept_.push_back(std::move(weight));
}

const ChosenLayout* PlanWeights::layout_of(ValueId weight) const {
  const auto at = layouts_.find(graph_.values[weight].storage.get());
  return at == layouts_.end() ? nullptr : &at->second;
}

const std::byte* PlanWeights::interleaved(ValueId weight) {
  const ValueRecord& value = graph_.values[weight];
  const ChosenLayout* chosen = layout_of(weight);
  if (chosen == nullptr) throw Error("weight '" + value.name + "' stays as stored");
  const auto packed = device_.interleaved(value.storage, chosen->layout, chosen->shape, threads_);
  keep(packed, true);
  return packed->bytes.data();
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
  keep(packed, false);
  return packed->bytes.data();
}

}  // namespace weft

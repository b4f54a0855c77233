#include "runtime/plan/weight_packer.h"

#include <algorithm>
#include <new>

#include "core/error.h"
#include "core/record/axis_list.h"

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
  std::vector<float> decoded(kChunk);
  std::vector<int64_t> at(rank);
  const auto elements = static_cast<size_t>(stride);
  for (size_t begin = 0; begin < elements; begin += kChunk) {
    const size_t count = std::min(kChunk, elements - begin);
    decode_row(storage.format, storage.data + row_bytes(storage.format, begin), count, decoded.data());
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

}  // namespace

const std::byte* PackedWeights::pack(const Region&, const Operand& operand, std::span<const AxisId> axes,
                                     Format& format) {
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
    return storage.data;
  }
  if (!info(storage.format).is_float) throw Error("weight '" + value.name + "' holds no floats to pack");
  format = Format::f32;
  std::unique_ptr<float[]>& copy = copies_[{&storage, {extents, order}}];
  if (copy == nullptr) {
    try {
      copy = std::make_unique<float[]>(static_cast<size_t>(elements));
    } catch (const std::bad_alloc&) {
      throw Error("out of memory: the packed copy of weight '" + value.name + "' takes " +
                  std::to_string(static_cast<size_t>(elements) * sizeof(float)) + " bytes");
    }
    transpose(storage, extents, order, copy.get());
    bytes_ += static_cast<size_t>(elements) * sizeof(float);
  }
  return reinterpret_cast<const std::byte*>(copy.get());
}

}  // namespace weft

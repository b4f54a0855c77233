#include "core/expr/value.h"

#include <cstring>
#include <limits>
#include <new>

#include "core/error.h"

namespace weft {

std::shared_ptr<Storage> allocate_storage(std::string name, Format format, const AxisList& axes,
                                          std::span<const int64_t> extents) {
  constexpr auto kAlignment = std::align_val_t{64};
  constexpr int64_t kLimit = std::numeric_limits<int64_t>::max() / 16;
  int64_t elements = 1;
  for (size_t i = 0; i < axes.size(); ++i) {
    const std::string axis = "axis '" + std::string(axes[i]->name) + "' of tensor '" + name + "'";
    if (extents[i] < 0) throw Error(axis + ": extent " + std::to_string(extents[i]) + " is negative");
    if (axes[i]->fixed_extent != kRunTimeExtent && axes[i]->fixed_extent != extents[i]) {
      throw Error(axis + " has the fixed extent " + std::to_string(axes[i]->fixed_extent) + ", not " +
                  std::to_string(extents[i]));
    }
    if (extents[i] != 0 && elements > kLimit / extents[i]) throw Error(axis + ": the tensor would be too large");
    elements *= extents[i];
  }
  if (elements % info(format).block_elements != 0) {
    throw Error("tensor '" + name + "': " + std::to_string(elements) + " elements cut a block of " +
                std::string(weft::name(format)) + ", which holds " + std::to_string(info(format).block_elements));
  }
  auto storage = std::make_shared<Storage>();
  storage->name = std::move(name);
  storage->format = format;
  storage->extents.assign(extents.begin(), extents.end());
  const size_t bytes = std::max<size_t>(storage->bytes(), 1);
  auto* data = static_cast<std::byte*>(::operator new(bytes, kAlignment));
  std::memset(data, 0, bytes);
  storage->data = data;
  storage->owner =
      std::shared_ptr<const void>(data, [](const void* p) { ::operator delete(const_cast<void*>(p), kAlignment); });
  return storage;
}

void check_size(size_t expected, size_t given) {
  if (expected == given) return;
  throw Error("tensor has " + std::to_string(expected) + " elements, but " + std::to_string(given) +
              " values were given");
}

void Graph::add_result(const std::shared_ptr<Recorder>& of, ValueId value, const AxisList& axes) {
  if (of == nullptr || value == kNoValue) refuse_unmade_value(axes);
  if (of != recorder_) throw Error("result: value '" + of->record()->values[value].name + "' belongs to another graph");
  recorder_->record()->results.push_back(value);
}

ValueId Graph::add_input(const std::string& name, Format format, const AxisList& axes, bool ids_within) {
  ValueRecord value;
  value.name = name;
  value.kind = ValueKind::input;
  value.format = format;
  value.axes = recorder_->axes(axes);
  value.ids_within = ids_within;
  return recorder_->add_value(std::move(value));
}

}  // namespace weft

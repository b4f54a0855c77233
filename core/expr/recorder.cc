#include "core/expr/recorder.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace weft {

AxisId Recorder::axis(const AxisInfo* info, uint16_t instance) {
  std::vector<Instance>& all = instances_[info];
  while (all.size() <= instance) {
    const auto number = static_cast<uint16_t>(all.size());
    const std::string name = std::string(info->name) + (number == 0 ? "" : "#" + std::to_string(number + 1));
    all.push_back({static_cast<AxisId>(record_->axes.size())});
    record_->axes.push_back({name, info->fixed_extent, info, number});
  }
  return all[instance].axis;
}

AxisId Recorder::axis_of_extent(const AxisInfo* info, int64_t extent) {
  if (info->fixed_extent != kRunTimeExtent) return axis(info);
  axis(info);
  std::vector<Instance>& all = instances_[info];
  for (Instance& one : all) {
    if (one.extent == -1) one.extent = extent;
    if (one.extent == extent) return one.axis;
  }
  const AxisId added = axis(info, static_cast<uint16_t>(all.size()));
  all.back().extent = extent;
  return added;
}

std::string Recorder::describe(AxisId axis) const {
  for (const Instance& one : instances_.at(static_cast<const AxisInfo*>(record_->axes[axis].identity))) {
    if (one.axis == axis && one.extent != -1) return std::to_string(one.extent);
  }
  return "instance " + std::to_string(record_->axes[axis].instance + 1);
}

std::vector<AxisId> Recorder::axes(const AxisList& list) {
  std::vector<AxisId> ids;
  for (const AxisInfo* info : list) ids.push_back(axis(info));
  return ids;
}

ValueId Recorder::add_value(ValueRecord value) {
  const auto id = static_cast<ValueId>(record_->values.size());
  if (value.name.empty()) value.name = "v" + std::to_string(id);
  record_->values.push_back(std::move(value));
  return id;
}

ValueId Recorder::value_of(const std::shared_ptr<const Storage>& storage, const AxisList& stored_axes) {
  ValueRecord value;
  value.name = storage->name.empty() ? "tensor " + std::to_string(record_->values.size()) : storage->name;
  value.kind = ValueKind::weight;
  value.format = storage->format;
  for (size_t i = 0; i < stored_axes.size(); ++i) {
    value.axes.push_back(axis_of_extent(stored_axes[i], storage->extents[i]));
  }
  const auto [first, last] = storage_ids_.equal_range(storage.get());
  for (auto entry = first; entry != last; ++entry) {
    if (record_->values[entry->second].axes == value.axes) return entry->second;
  }
  value.storage = storage;
  const ValueId id = add_value(std::move(value));
  storage_ids_.emplace(storage.get(), id);
  return id;
}

void Recorder::add_rule(ExtentRule entry) {
  const bool known = std::any_of(record_->rules.begin(), record_->rules.end(), [&entry](const ExtentRule& other) {
    return other.kind == entry.kind && other.whole == entry.whole && other.outer == entry.outer &&
           other.inner == entry.inner && other.begin == entry.begin && other.count == entry.count;
  });
  if (!known) record_->rules.push_back(std::move(entry));
}

}  // namespace weft

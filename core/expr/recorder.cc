#include "core/expr/recorder.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace weft {

AxisId Recorder::axis(const AxisInfo* info) {
  const auto [entry, added] = axis_ids_.try_emplace(info, static_cast<AxisId>(record_->axes.size()));
  if (added) record_->axes.push_back({std::string(info->name), info->fixed_extent, info});
  return entry->second;
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
  value.axes = axes(stored_axes);
  const auto [first, last] = storage_ids_.equal_range(storage.get());
  for (auto entry = first; entry != last; ++entry) {
    if (record_->values[entry->second].axes == value.axes) return entry->second;
  }
  value.storage = storage;
  const ValueId id = add_value(std::move(value));
  storage_ids_.emplace(storage.get(), id);
  return id;
}

void Recorder::add_rule(const NodeRule& rule) {
  ExtentRule entry;
  entry.kind = rule.kind;
  entry.whole = axis(rule.whole);
  entry.outer = rule.outer ? axis(rule.outer) : kNoAxis;
  entry.inner = rule.inner ? axis(rule.inner) : kNoAxis;
  entry.begin = rule.begin;
  entry.count = rule.count;
  entry.what = rule.what;
  const bool known = std::any_of(record_->rules.begin(), record_->rules.end(), [&entry](const ExtentRule& other) {
    return other.kind == entry.kind && other.whole == entry.whole && other.outer == entry.outer &&
           other.inner == entry.inner && other.begin == entry.begin && other.count == entry.count;
  });
  if (!known) record_->rules.push_back(std::move(entry));
}

}  // namespace weft

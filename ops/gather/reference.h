// Reading an element of an operand: views, slices, gathers and pages.
#pragma once

#include <cstring>
#include <optional>

#include "core/format/format.h"
#include "ops/harness/reference_scope.h"

namespace weft::reference {

// Element `index` of a value in storage.
inline ScalarValue read_element(Format format, const void* data, int64_t index) {
  const auto* bytes = static_cast<const std::byte*>(data);
  if (format == Format::i32) {
    int32_t value;
    std::memcpy(&value, bytes + index * 4, sizeof value);
    return {0, value};
  }
  if (format == Format::bool8) return {0, bytes[index] != std::byte{0}};
  return {decode_element(format, data, static_cast<size_t>(index)), 0};
}

inline void write_element(Format format, void* data, int64_t index, const ScalarValue& value) {
  if (format == Format::f32) static_cast<float*>(data)[index] = static_cast<float>(value.f);
  else if (format == Format::i32) static_cast<int32_t*>(data)[index] = value.i;
  else static_cast<uint8_t*>(data)[index] = value.i != 0;
}

inline ScalarValue read_operand(const StepScope& scope, int index, int64_t looked_up = 0);

// Where the operand's element at the scope's coordinates lies, and at `looked_up` on the axis that is looked up, in
// elements from the value's first; none where an id is out of range.
inline std::optional<int64_t> offset_of(const StepScope& scope, int index, int64_t looked_up = 0) {
  const Operand& operand = scope.region.operands[static_cast<size_t>(index)];
  const ValueRecord& value = scope.graph.values[operand.value];
  int64_t offset = 0;
  for (size_t i = 0; i < operand.view.size(); ++i) {
    const ViewAxis& axis = operand.view[i];
    if (value.is_cached() && i == 0) {  // the key axis: rows lie in pages
      const PageTable& pages = scope.pages();
      const int64_t j = scope.coordinate[axis.axis];
      const int64_t page = pages.pages[scope.sequence() * pages.max_pages + j / pages.page_size];
      offset = page * pages.page_size + j % pages.page_size;
      continue;
    }
    int64_t at = 0;
    if (axis.gather >= 0 || axis.is_looked_up()) {
      at = axis.gather >= 0 ? read_operand(scope, axis.gather).i : looked_up;
      if (at < 0 || at >= scope.args.extents[axis.stored]) return std::nullopt;
    } else {
      at = scope.coordinate[axis.axis];
    }
    offset = offset * scope.args.extents[axis.stored] + axis.begin + at;
  }
  return offset;
}

// The operand's element at the scope's coordinates; 0 where an id is out of range.
inline ScalarValue read_operand(const StepScope& scope, int index, int64_t looked_up) {
  const std::optional<int64_t> offset = offset_of(scope, index, looked_up);
  if (!offset) return {};
  const ValueId value = scope.region.operands[static_cast<size_t>(index)].value;
  return read_element(scope.graph.values[value].format, scope.args.data[value], *offset);
}

}  // namespace weft::reference

// Python's operators on values. All throw Fault where Python raises an exception.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>

#include "runtime/text/jinja/ast.h"
#include "runtime/text/jinja/machine.h"

namespace weft::jinja {

// Throws for an undefined value: "'x' is undefined".
void require_defined(const Value& value);

std::partial_ordering number_order(const Value& a, const Value& b);  // both numbers; exact

bool equal(Machine& machine, const Value& a, const Value& b);
std::partial_ordering order(Machine& machine, const Value& a, const Value& b);  // numbers, strings, lists, tuples
bool contains(Machine& machine, const Value& container, const Value& element);
bool compare(Machine& machine, Comparison comparison, const Value& a, const Value& b);

Value binary(Machine& machine, Op op, const Value& a, const Value& b);  // arithmetic; + and * of strings and lists
Value negate(const Value& value);
Value plus(const Value& value);

// object.name and object[index]: undefined where there is none.
Value get_attribute(Machine& machine, const Value& object, std::string_view name);
Value get_item(Machine& machine, const Value& object, const Value& index);
Value get_slice(Machine& machine, const Value& object, const Value& begin, const Value& end, const Value& step);

// What a loop runs over, as a new sequence or the value's own; `from`: its first element (generators are read only
// once). A string is its characters, a dict its keys, an undefined value is empty.
struct Items {
  std::shared_ptr<const Sequence> sequence;
  size_t from = 0;

  auto begin() const { return sequence->items.begin() + static_cast<std::ptrdiff_t>(from); }
  auto end() const { return sequence->items.end(); }
  size_t size() const { return sequence->items.size() - from; }
};
Items iterate(Machine& machine, const Value& value);
bool iterable(const Value& value);
std::optional<int64_t> length(const Value& value);

}  // namespace weft::jinja

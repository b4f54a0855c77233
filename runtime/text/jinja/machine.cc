#include "runtime/text/jinja/machine.h"

#include <algorithm>

#include "runtime/text/jinja/print.h"

namespace weft::jinja {

Machine::~Machine() {
  for (const auto& space : namespaces_) space->clear();
}

Value Machine::range(int64_t start, int64_t stop, int64_t step) {
  if (step == 0) throw Fault{"range() wants a step other than 0"};
  const __int128 span = step > 0 ? static_cast<__int128>(stop) - start : static_cast<__int128>(start) - stop;
  const __int128 stride = step > 0 ? step : -static_cast<__int128>(step);
  const __int128 count = span <= 0 ? 0 : (span + stride - 1) / stride;
  if (count > kMaxRange) throw Fault{"range() of more than 100000 elements"};
  Values items;
  items.reserve(static_cast<size_t>(count));
  for (__int128 i = 0; i < count; ++i) items.push_back(Value::integer(static_cast<int64_t>(start + i * step)));
  Value value = sequence(SequenceType::range, std::move(items));
  const Sequence& range = value.as_sequence();
  range.start = start;
  range.stop = stop;
  range.step = step;
  return value;
}

Value Machine::dict(std::vector<Dict::Entry> entries) {
  budget_.spend(1 + 4 * entries.size());
  return Value(std::make_shared<const Dict>(std::move(entries), &budget_));
}

Value Machine::make_namespace(const std::vector<Dict::Entry>& entries) {
  auto space = std::make_shared<Namespace>(&budget_);
  namespaces_.push_back(space);
  for (const auto& [name, value] : entries) {
    if (!name.is_string()) throw Fault{"the names of a namespace are strings"};
    space->set(*this, name.as_string(), value);
  }
  return Value::object(std::move(space));
}

std::optional<Value> Namespace::attribute(Machine& machine, std::string_view name) {
  machine.spend(1 + attributes_.size() / 8);
  for (const auto& [key, value] : attributes_) {
    if (key == name) return value;
  }
  return std::nullopt;
}

std::string Namespace::repr(Machine& machine) {
  // Namespaces can hold themselves, and chains of others of any length.
  const Machine::Writing writing(machine);
  std::vector<Dict::Entry> entries;
  for (const auto& [name, value] : attributes_) entries.emplace_back(machine.text(name), value);
  return "<Namespace " + weft::jinja::repr(machine, machine.dict(std::move(entries))) + ">";
}

void Namespace::set(Machine& machine, const std::string& name, Value value) {
  if (name.starts_with('_')) throw Fault{"the names of a namespace do not begin with '_', as '" + name + "' does"};
  machine.spend(1 + attributes_.size() / 8);
  for (auto& [key, old] : attributes_) {
    if (key != name) continue;
    old = std::move(value);
    return;
  }
  charge_.more(64 + name.size());
  attributes_.emplace_back(name, std::move(value));
}

}  // namespace weft::jinja

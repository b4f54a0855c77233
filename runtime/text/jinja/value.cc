#include "runtime/text/jinja/value.h"

#include <algorithm>
#include <numeric>

#include "runtime/text/jinja/operators.h"

namespace weft::jinja {

namespace {

// Keys that Python considers equal are equal here: 1, 1.0 and true. Only for hashable values.
std::weak_ordering key_order(const Value& a, const Value& b) {
  const auto rank = [](const Value& v) {
    if (v.is_number()) return 0;
    if (v.is_string()) return 1;
    if (v.kind() == Kind::sequence) return 2;
    return v.kind() == Kind::none ? 3 : v.kind() == Kind::undefined ? 4 : 5;
  };
  if (const auto order = rank(a) <=> rank(b); order != 0) return order;
  switch (rank(a)) {
    case 0: {
      const std::partial_ordering order = number_order(a, b);
      if (order == std::partial_ordering::unordered) return std::weak_ordering::equivalent;  // NaN
      return order < 0   ? std::weak_ordering::less
             : order > 0 ? std::weak_ordering::greater
                         : std::weak_ordering::equivalent;
    }
    case 1: return a.as_string().compare(b.as_string()) <=> 0;
    case 2: {
      const Values &x = a.as_sequence().items, &y = b.as_sequence().items;
      for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
        if (const auto order = key_order(x[i], y[i]); order != 0) return order;
      }
      return x.size() <=> y.size();
    }
    case 5: return std::compare_three_way()(a.as_object().get(), b.as_object().get());
    default: return std::weak_ordering::equivalent;
  }
}

int depth_of(const Values& items) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  return depth + 1;
}

// For a value that can be a key: how many values it consists of (a tuple may hold another many times); else 0.
uint32_t key_size(const Value& value) {
  if (value.is_dict()) return 0;
  return value.kind() == Kind::sequence ? value.as_sequence().key_size : 1;
}

uint32_t tuple_key_size(const Values& items) {
  constexpr uint32_t kMax = 1000;
  uint32_t size = 1;
  for (const Value& item : items) {
    const uint32_t more = key_size(item);
    size += more;
    if (more == 0 || size > kMax) return 0;
  }
  return size;
}

void check_depth(int depth) {
  if (depth > kMaxValueDepth) throw Fault{"values lie more than 100 levels deep in one another"};
}

}  // namespace

Value Value::text(std::string value, Budget* budget) {
  const size_t bytes = value.size() + 64;
  return Value(std::shared_ptr<const Text>(new Text{std::move(value), Charge(budget, bytes)}));
}

Value Value::sequence(SequenceType type, Values items, Budget* budget) {
  const int depth = depth_of(items);
  check_depth(depth);
  const size_t bytes = items.size() * sizeof(Value) + 96;
  const uint32_t as_key = type == SequenceType::tuple ? tuple_key_size(items) : 0;
  return Value(
      std::shared_ptr<const Sequence>(new Sequence{type, std::move(items), depth, as_key, Charge(budget, bytes)}));
}

const std::string& Value::as_string() const { return std::get<std::shared_ptr<const Text>>(data_)->text; }

bool Value::is_sequence(SequenceType type) const { return kind() == Kind::sequence && as_sequence().type == type; }

bool Value::truth() const {
  switch (kind()) {
    case Kind::undefined:
    case Kind::none: return false;
    case Kind::boolean: return as_boolean();
    case Kind::integer: return as_int() != 0;
    case Kind::real: return as_real() != 0;
    case Kind::string: return !as_string().empty();
    case Kind::sequence: return as_sequence().type == SequenceType::generator || !as_sequence().items.empty();
    case Kind::dict: return !as_dict().entries.empty();
    case Kind::object: break;
  }
  return as_object()->length().value_or(1) != 0;
}

int Value::depth() const {
  switch (kind()) {
    case Kind::sequence: return as_sequence().depth;
    case Kind::dict: return as_dict().depth;
    case Kind::object: return as_object()->depth();
    default: return 0;
  }
}

std::string Value::type_name() const {
  switch (kind()) {
    case Kind::undefined: return "Undefined";
    case Kind::none: return "NoneType";
    case Kind::boolean: return "bool";
    case Kind::integer: return "int";
    case Kind::real: return "float";
    case Kind::string: return "str";
    case Kind::dict: return "dict";
    case Kind::object: return as_object()->type_name();
    case Kind::sequence: break;
  }
  constexpr const char* kNames[] = {"list", "tuple", "range", "dict_keys", "dict_values", "dict_items", "generator"};
  return kNames[static_cast<size_t>(as_sequence().type)];
}

bool Value::same(const Value& other) const {
  if (kind() != other.kind()) return false;
  switch (kind()) {
    case Kind::none: return true;
    case Kind::boolean: return as_boolean() == other.as_boolean();
    case Kind::integer: return as_int() == other.as_int();
    case Kind::undefined: return as_undefined().why != nullptr && as_undefined().why == other.as_undefined().why;
    case Kind::real: return false;
    // Python usually shares equal short strings of a template; nothing more is guaranteed.
    case Kind::string: return as_string() == other.as_string();
    case Kind::sequence: return &as_sequence() == &other.as_sequence();
    case Kind::dict: return &as_dict() == &other.as_dict();
    case Kind::object: return as_object() == other.as_object();
  }
  return false;
}

Dict::Dict(std::vector<Entry> all, Budget* budget)
    : charge_(budget, all.size() * (sizeof(Entry) + sizeof(uint32_t)) + 128) {
  for (const Entry& entry : all) {
    if (!hashable(entry.first)) throw Fault{"a " + entry.first.type_name() + " cannot be a key"};
    depth = std::max(depth, 1 + std::max(entry.first.depth(), entry.second.depth()));
  }
  check_depth(depth);
  std::vector<uint32_t> order(all.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return key_order(all[a].first, all[b].first) < 0; });
  // Of equal keys, the first is kept, with the value of the last.
  std::vector<bool> replaced(all.size());
  for (size_t i = 0; i < order.size();) {
    size_t end = i + 1;
    while (end < order.size() && key_order(all[order[i]].first, all[order[end]].first) == 0) {
      replaced[order[end]] = true;
      all[order[i]].second = all[order[end]].second;
      ++end;
    }
    i = end;
  }
  std::vector<uint32_t> place(all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    place[i] = static_cast<uint32_t>(entries.size());
    if (!replaced[i]) entries.push_back(std::move(all[i]));
  }
  for (const uint32_t i : order) {
    if (!replaced[i]) order_.push_back(place[i]);
  }
}

const Value* Dict::find(const Value& key) const {
  if (!hashable(key)) return nullptr;
  const auto at = std::partition_point(order_.begin(), order_.end(),
                                       [&](uint32_t i) { return key_order(entries[i].first, key) < 0; });
  return at != order_.end() && key_order(entries[*at].first, key) == 0 ? &entries[*at].second : nullptr;
}

const Value* Dict::find(std::string_view key) const { return find(Value::text(std::string(key))); }

bool hashable(const Value& value) { return key_size(value) != 0; }

Object::Object(Budget* budget, int depth) : charge_(budget, 128), depth_(depth) { check_depth(depth); }

Value Object::call(Machine&, Arguments&) { throw Fault{"a " + type_name() + " cannot be called"}; }

}  // namespace weft::jinja

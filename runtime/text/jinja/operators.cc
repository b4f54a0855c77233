#include "runtime/text/jinja/operators.h"

#include <algorithm>
#include <cmath>

#include "runtime/text/jinja/format.h"
#include "runtime/text/jinja/methods.h"
#include "runtime/text/jinja/text.h"

namespace weft::jinja {

namespace {

[[noreturn]] void fail_types(std::string_view op, const Value& a, const Value& b) {
  throw Fault{"'" + std::string(op) + "' does not work on " + a.type_name() + " and " + b.type_name()};
}

bool is_list_like(const Value& value) {
  return value.is_sequence(SequenceType::list) || value.is_sequence(SequenceType::tuple);
}

[[noreturn]] void fail_overflow() { throw Fault{"an integer does not fit into 64 bits"}; }

int64_t floor_quotient(int64_t a, int64_t b) {
  if (b == -1) {
    int64_t quotient = 0;
    if (__builtin_sub_overflow(int64_t{0}, a, &quotient)) fail_overflow();
    return quotient;
  }
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

int64_t floor_remainder(int64_t a, int64_t b) {
  if (b == -1) return 0;
  const int64_t remainder = a % b;
  return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder;
}

double real_remainder(double a, double b) {
  const double remainder = std::fmod(a, b);
  if (remainder == 0) return std::copysign(0.0, b);
  return (remainder < 0) != (b < 0) ? remainder + b : remainder;
}

Value integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) throw Fault{"0 cannot be raised to a negative power"};
    return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) fail_overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) fail_overflow();
  }
  return Value::integer(result);
}

Value integer_arithmetic(Op op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  switch (op) {
    case Op::add: overflow = __builtin_add_overflow(a, b, &result); break;
    case Op::subtract: overflow = __builtin_sub_overflow(a, b, &result); break;
    case Op::multiply: overflow = __builtin_mul_overflow(a, b, &result); break;
    case Op::power: return integer_power(a, b);
    default:
      if (b == 0) throw Fault{"division by zero"};
      if (op == Op::divide) return Value::real(static_cast<double>(a) / static_cast<double>(b));
      return Value::integer(op == Op::floor_divide ? floor_quotient(a, b) : floor_remainder(a, b));
  }
  if (overflow) fail_overflow();
  return Value::integer(result);
}

Value real_arithmetic(Op op, double a, double b) {
  switch (op) {
    case Op::add: return Value::real(a + b);
    case Op::subtract: return Value::real(a - b);
    case Op::multiply: return Value::real(a * b);
    case Op::power: {
      if (a == 0 && b < 0) throw Fault{"0 cannot be raised to a negative power"};
      const double result = std::pow(a, b);
      if (std::isnan(result) && !std::isnan(a) && !std::isnan(b)) throw Fault{"the power is not a real number"};
      if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) throw Fault{"the power is too large"};
      return Value::real(result);
    }
    default: break;
  }
  if (b == 0) throw Fault{"division by zero"};
  if (op == Op::divide) return Value::real(a / b);
  const double remainder = real_remainder(a, b);
  if (op == Op::modulo) return Value::real(remainder);
  const double quotient = (a - remainder) / b;
  const double floored = std::floor(quotient);
  return Value::real(quotient - floored > 0.5 ? floored + 1 : floored);
}

Value joined(Machine& machine, const Value& a, const Value& b) {
  const Values &x = a.as_sequence().items, &y = b.as_sequence().items;
  machine.budget().check_room((x.size() + y.size()) * sizeof(Value));
  Values all;
  all.reserve(x.size() + y.size());
  all.insert(all.end(), x.begin(), x.end());
  all.insert(all.end(), y.begin(), y.end());
  return machine.sequence(a.as_sequence().type, std::move(all));
}

Value repeated(Machine& machine, const Value& value, int64_t count) {
  const auto times = static_cast<size_t>(std::max<int64_t>(count, 0));
  if (value.is_string()) {
    const std::string& text = value.as_string();
    if (times > kMaxMemory || text.size() * times > kMaxMemory) throw Fault{"the repeated string is too long"};
    machine.budget().check_room(text.size() * times);
    std::string all;
    all.reserve(text.size() * times);
    for (size_t i = 0; i < times && !text.empty(); ++i) all += text;
    return machine.text(std::move(all));
  }
  const Values& items = value.as_sequence().items;
  if (times > kMaxMemory || items.size() * times > kMaxMemory) throw Fault{"the repeated list is too long"};
  machine.budget().check_room(items.size() * times * sizeof(Value));
  machine.spend(items.size() * times);
  Values all;
  all.reserve(items.size() * times);
  for (size_t i = 0; i < times && !items.empty(); ++i) all.insert(all.end(), items.begin(), items.end());
  return machine.sequence(value.as_sequence().type, std::move(all));
}

std::string_view symbol(Op op) {
  switch (op) {
    case Op::add: return "+";
    case Op::subtract: return "-";
    case Op::multiply: return "*";
    case Op::divide: return "/";
    case Op::floor_divide: return "//";
    case Op::modulo: return "%";
    default: return "**";
  }
}

// A bound of a slice, clamped to [low, high] and counted from the end where it is negative.
int64_t clamp_bound(const Value& bound, int64_t count, int64_t fallback, int64_t low, int64_t high) {
  if (bound.is_none()) return fallback;
  require_defined(bound);
  if (!bound.is_integral()) throw Fault{"a bound of a slice is a " + bound.type_name() + ", not an integer"};
  int64_t at = bound.as_int();
  if (at < 0) at = at < -count ? -1 : at + count;
  return std::clamp(at, low, high);
}

}  // namespace

void require_defined(const Value& value) {
  if (!value.is_undefined()) return;
  const auto& why = value.as_undefined().why;
  throw Fault{why != nullptr ? *why : "the value is undefined"};
}

std::partial_ordering number_order(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return a.as_int() <=> b.as_int();
  // A long double of x86 holds both exactly.
  const auto wide = [](const Value& v) {
    return v.kind() == Kind::real ? static_cast<long double>(v.as_real()) : static_cast<long double>(v.as_int());
  };
  return wide(a) <=> wide(b);
}

bool equal(Machine& machine, const Value& a, const Value& b) {
  machine.spend(1);
  if (a.is_number() && b.is_number()) return number_order(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::undefined:
    case Kind::none: return true;
    case Kind::string:
      machine.budget().spend_bytes(std::min(a.as_string().size(), b.as_string().size()));
      return a.as_string() == b.as_string();
    case Kind::sequence: {
      const Sequence &x = a.as_sequence(), &y = b.as_sequence();
      if (&x == &y) return true;
      if (x.type != y.type || x.type == SequenceType::generator || x.type == SequenceType::values) return false;
      return x.items.size() == y.items.size() &&
             std::equal(x.items.begin(), x.items.end(), y.items.begin(),
                        [&](const Value& p, const Value& q) { return equal(machine, p, q); });
    }
    case Kind::dict: {
      const Dict &x = a.as_dict(), &y = b.as_dict();
      if (&x == &y) return true;
      return x.entries.size() == y.entries.size() &&
             std::all_of(x.entries.begin(), x.entries.end(), [&](const Dict::Entry& entry) {
               const Value* other = y.find(entry.first);
               return other != nullptr && equal(machine, entry.second, *other);
             });
    }
    default: return a.as_object() == b.as_object();
  }
}

std::partial_ordering order(Machine& machine, const Value& a, const Value& b) {
  machine.spend(1);
  require_defined(a);
  require_defined(b);
  if (a.is_number() && b.is_number()) return number_order(a, b);
  if (a.is_string() && b.is_string()) {
    machine.budget().spend_bytes(std::min(a.as_string().size(), b.as_string().size()));
    return a.as_string().compare(b.as_string()) <=> 0;  // the order of UTF-8 bytes is that of code points
  }
  if (!is_list_like(a) || !is_list_like(b) || a.as_sequence().type != b.as_sequence().type) fail_types("<", a, b);
  const Values &x = a.as_sequence().items, &y = b.as_sequence().items;
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    if (!equal(machine, x[i], y[i])) return order(machine, x[i], y[i]);
  }
  return x.size() <=> y.size();
}

bool contains(Machine& machine, const Value& container, const Value& element) {
  if (container.is_string()) {
    if (!element.is_string()) throw Fault{"'in' a string wants a string, got a " + element.type_name()};
    machine.budget().spend_bytes(container.as_string().size());
    return container.as_string().find(element.as_string()) != std::string::npos;
  }
  if (container.is_dict()) {
    if (!hashable(element)) throw Fault{"a " + element.type_name() + " cannot be a key"};
    machine.spend(1);
    return container.as_dict().find(element) != nullptr;
  }
  const Items items = iterate(machine, container);
  return std::any_of(items.begin(), items.end(), [&](const Value& item) { return equal(machine, item, element); });
}

bool compare(Machine& machine, Comparison comparison, const Value& a, const Value& b) {
  switch (comparison) {
    case Comparison::equal: return equal(machine, a, b);
    case Comparison::unequal: return !equal(machine, a, b);
    case Comparison::less: return order(machine, a, b) < 0;
    case Comparison::less_equal: return order(machine, a, b) <= 0;
    case Comparison::greater: return order(machine, a, b) > 0;
    case Comparison::greater_equal: return order(machine, a, b) >= 0;
    case Comparison::in: return contains(machine, b, a);
    case Comparison::not_in: break;
  }
  return !contains(machine, b, a);
}

Value binary(Machine& machine, Op op, const Value& a, const Value& b) {
  if (op == Op::modulo && a.is_string()) return format_percent(machine, a.as_string(), b);
  require_defined(a);
  require_defined(b);
  if (a.is_integral() && b.is_integral()) return integer_arithmetic(op, a.as_int(), b.as_int());
  if (a.is_number() && b.is_number()) return real_arithmetic(op, a.as_real(), b.as_real());
  if (op == Op::add) {
    if (a.is_string() && b.is_string()) {
      machine.budget().check_room(a.as_string().size() + b.as_string().size());
      return machine.text(a.as_string() + b.as_string());
    }
    if (is_list_like(a) && is_list_like(b) && a.as_sequence().type == b.as_sequence().type)
      return joined(machine, a, b);
  }
  if (op == Op::multiply) {
    if ((a.is_string() || is_list_like(a)) && b.is_integral()) return repeated(machine, a, b.as_int());
    if ((b.is_string() || is_list_like(b)) && a.is_integral()) return repeated(machine, b, a.as_int());
  }
  fail_types(symbol(op), a, b);
}

Value negate(const Value& value) {
  require_defined(value);
  if (value.is_integral()) return integer_arithmetic(Op::subtract, 0, value.as_int());
  if (!value.is_number()) throw Fault{"'-' does not work on a " + value.type_name()};
  return Value::real(-value.as_real());
}

Value plus(const Value& value) {
  require_defined(value);
  if (!value.is_number()) throw Fault{"'+' does not work on a " + value.type_name()};
  return value.is_integral() ? Value::integer(value.as_int()) : value;
}

namespace {

// The element with that name of a tuple that the filter 'groupby' has made; else null.
const Value* of_group(const Value& object, std::string_view name) {
  if (!object.is_sequence(SequenceType::tuple) || !object.as_sequence().is_group) return nullptr;
  const Values& both = object.as_sequence().items;
  return name == "grouper" ? &both[0] : name == "list" ? &both[1] : nullptr;
}

}  // namespace

Value get_attribute(Machine& machine, const Value& object, std::string_view name) {
  machine.spend(1);
  require_defined(object);
  if (object.kind() == Kind::object) {
    if (auto found = object.as_object()->attribute(machine, name)) return *found;
  } else if (has_method(object, name)) {
    return bound_method(machine, object, name);
  } else if (changes_value(object, name)) {
    return Value::undefined("'" + std::string(name) + "' would change a " + object.type_name() +
                            ", which templates may not");
  } else if (object.is_dict()) {
    if (const Value* found = object.as_dict().find(name)) return *found;
  } else if (const Value* found = of_group(object, name)) {
    return *found;
  }
  return Value::undefined("a " + object.type_name() + " has no attribute '" + std::string(name) + "'");
}

Value get_item(Machine& machine, const Value& object, const Value& index) {
  machine.spend(1);
  require_defined(object);
  if (object.is_dict()) {
    if (const Value* found = object.as_dict().find(index)) return *found;
  } else if (index.is_integral() && (object.is_string() || object.kind() == Kind::sequence)) {
    const bool by_number = object.is_string() || object.as_sequence().type <= SequenceType::range;
    const int64_t count = by_number ? *length(object) : 0;
    const int64_t at = index.as_int() < 0 ? index.as_int() + count : index.as_int();
    if (at >= 0 && at < count) {
      if (!object.is_string()) return object.as_sequence().items[static_cast<size_t>(at)];
      const std::string& text = object.as_string();
      machine.budget().spend_bytes(text.size());
      size_t end = character_offset(text, static_cast<size_t>(at));
      const size_t begin = end;
      next_character(text, end);
      return machine.text(text.substr(begin, end - begin));
    }
  }
  if (index.is_string()) {
    if (object.kind() == Kind::object) {
      if (auto found = object.as_object()->attribute(machine, index.as_string())) return *found;
    } else if (has_method(object, index.as_string())) {
      return bound_method(machine, object, index.as_string());
    } else if (const Value* found = of_group(object, index.as_string())) {
      return *found;
    }
    return Value::undefined("a " + object.type_name() + " has no attribute '" + index.as_string() + "'");
  }
  return Value::undefined("a " + object.type_name() + " has no such element");
}

Value get_slice(Machine& machine, const Value& object, const Value& begin, const Value& end, const Value& step) {
  require_defined(object);
  const bool sliceable =
      object.is_string() || (object.kind() == Kind::sequence && object.as_sequence().type <= SequenceType::range);
  if (!sliceable) throw Fault{"a " + object.type_name() + " has no slices"};
  if (!step.is_none()) {
    require_defined(step);
    if (!step.is_integral()) throw Fault{"the step of a slice is a " + step.type_name() + ", not an integer"};
  }
  const int64_t count = *length(object);
  // A step beyond all elements selects one of them, whatever its exact value.
  const int64_t stride = step.is_none() ? 1 : std::clamp(step.as_int(), -count - 1, count + 1);
  if (stride == 0) throw Fault{"the step of a slice is 0"};
  const int64_t low = stride > 0 ? 0 : -1, high = stride > 0 ? count : count - 1;
  const int64_t first = clamp_bound(begin, count, stride > 0 ? 0 : count - 1, low, high);
  const int64_t last = clamp_bound(end, count, stride > 0 ? count : -1, low, high);
  if (object.is_sequence(SequenceType::range)) {
    const Sequence& range = object.as_sequence();
    const auto narrow = [](__int128 number) {
      if (number != static_cast<int64_t>(number)) fail_overflow();
      return static_cast<int64_t>(number);
    };
    const auto element = [&](int64_t i) { return narrow(range.start + static_cast<__int128>(i) * range.step); };
    return machine.range(element(first), element(last), narrow(static_cast<__int128>(range.step) * stride));
  }
  if (!object.is_string()) {
    Values items;
    for (int64_t i = first; stride > 0 ? i < last : i > last; i += stride) {
      items.push_back(object.as_sequence().items[static_cast<size_t>(i)]);
    }
    return machine.sequence(object.as_sequence().type, std::move(items));
  }
  const std::string& text = object.as_string();
  machine.budget().spend_bytes(text.size());
  if (stride == 1) {
    if (last <= first) return machine.text("");
    const size_t from = character_offset(text, static_cast<size_t>(first));
    const size_t to = character_offset(text, static_cast<size_t>(last));
    return machine.text(text.substr(from, to - from));
  }
  machine.budget().check_room(text.size() * sizeof(std::string_view));
  const std::vector<std::string_view> all = characters(text);
  std::string taken;
  for (int64_t i = first; stride > 0 ? i < last : i > last; i += stride) taken += all[static_cast<size_t>(i)];
  return machine.text(std::move(taken));
}

Items iterate(Machine& machine, const Value& value) {
  const auto own = [&](Values items) {
    const Value list = machine.list(std::move(items));
    return Items{list.shared_sequence(), 0};
  };
  Values items;
  switch (value.kind()) {
    case Kind::sequence: {
      const Sequence& sequence = value.as_sequence();
      machine.spend(1);
      if (sequence.type != SequenceType::generator) return {value.shared_sequence(), 0};
      return {value.shared_sequence(), std::exchange(sequence.taken, sequence.items.size())};
    }
    case Kind::string:
      machine.budget().check_room(value.as_string().size() * (sizeof(Value) + 96));
      for (const std::string_view character : characters(value.as_string())) items.push_back(machine.text(character));
      return own(std::move(items));
    case Kind::dict:
      for (const Dict::Entry& entry : value.as_dict().entries) items.push_back(entry.first);
      return own(std::move(items));
    case Kind::undefined: return own({});
    default: throw Fault{"a " + value.type_name() + " cannot be iterated over"};
  }
}

bool iterable(const Value& value) {
  return value.is_undefined() || value.is_string() || value.kind() == Kind::sequence || value.is_dict();
}

std::optional<int64_t> length(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined: return 0;
    case Kind::string: return static_cast<int64_t>(character_count(value.as_string()));
    case Kind::dict: return static_cast<int64_t>(value.as_dict().entries.size());
    case Kind::sequence:
      if (value.as_sequence().type == SequenceType::generator) return std::nullopt;
      return static_cast<int64_t>(value.as_sequence().items.size());
    case Kind::object: return value.as_object()->length();
    default: return std::nullopt;
  }
}

}  // namespace weft::jinja

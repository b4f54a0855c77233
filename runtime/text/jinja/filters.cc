#include "runtime/text/jinja/filters.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <numeric>

#include "runtime/text/jinja/format.h"
#include "runtime/text/jinja/methods.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/parameters.h"
#include "runtime/text/jinja/print.h"
#include "runtime/text/jinja/text.h"

namespace weft::jinja {

namespace {

struct Call {
  Machine& machine;
  const Value& value;
  std::string_view name;
  const Arguments& arguments;

  Parameters parameters(std::initializer_list<std::string_view> names, size_t required = 0) const {
    return Parameters("the filter '" + std::string(name) + "'", arguments, names, required);
  }
  std::string text() const { return to_text(machine, value); }
};
using Filter = Value (*)(const Call&);

// --- attributes by a path: "function.name", "0", 1 ---

std::vector<Value> attribute_path(Machine& machine, const Value& attribute) {
  if (!attribute.is_string()) return {attribute};
  std::vector<Value> path;
  for (const std::string_view step : split(attribute.as_string(), ".", -1, false)) {
    const bool is_number =
        !step.empty() && std::all_of(step.begin(), step.end(), [](char c) { return c >= '0' && c <= '9'; });
    path.push_back(is_number ? Value::integer(parse_integer(step, 10).value_or(0)) : machine.text(step));
  }
  return path;
}

Value attribute_of(Machine& machine, Value value, const std::vector<Value>& path, const Value* fallback = nullptr) {
  for (const Value& step : path) {
    value = get_item(machine, value, step);
    if (fallback != nullptr && !fallback->is_none() && value.is_undefined()) value = *fallback;
  }
  return value;
}

// What is compared in place of an element: an attribute of it (or several, as a list), with strings in lower case.
class SortKey {
 public:
  SortKey(Machine& machine, const Value* attribute, bool case_sensitive, bool several)
      : machine_(machine), case_sensitive_(case_sensitive), several_(several) {
    if (attribute == nullptr || attribute->is_none()) {
      paths_.push_back({});
    } else if (several && attribute->is_string()) {
      for (const std::string_view one : split(attribute->as_string(), ",", -1, false)) {
        paths_.push_back(attribute_path(machine, machine.text(one)));
      }
    } else {
      paths_.push_back(attribute_path(machine, *attribute));
    }
  }

  Value operator()(const Value& element) const {
    Values keys;
    for (const auto& path : paths_) {
      Value key = attribute_of(machine_, element, path);
      if (!case_sensitive_ && key.is_string()) key = machine_.text(change_case(key.as_string(), Case::lower));
      keys.push_back(std::move(key));
    }
    return several_ ? machine_.list(std::move(keys)) : std::move(keys[0]);
  }

 private:
  Machine& machine_;
  bool case_sensitive_, several_;
  std::vector<std::vector<Value>> paths_;
};

Value sorted(Machine& machine, const Values& items, const std::function<Value(const Value&)>& key, bool reverse) {
  Values keys;
  for (const Value& item : items) keys.push_back(key(item));
  std::vector<size_t> places(items.size());
  std::iota(places.begin(), places.end(), size_t{0});
  std::stable_sort(places.begin(), places.end(), [&](size_t a, size_t b) {
    return reverse ? order(machine, keys[b], keys[a]) < 0 : order(machine, keys[a], keys[b]) < 0;
  });
  Values all;
  for (const size_t place : places) all.push_back(items[place]);
  return machine.list(std::move(all));
}

Values values_of(const Call& call) {
  const Items items = iterate(call.machine, call.value);
  call.machine.budget().check_room(items.size() * sizeof(Value));
  return Values(items.begin(), items.end());
}

// --- text ---

template <Case to>
Value case_filter(const Call& call) {
  call.parameters({});
  return call.machine.text(change_case(call.text(), to));
}

Value title_filter(const Call& call) {  // words begin after white space and opening brackets only
  call.parameters({});
  const std::string text = call.text();
  std::string out;
  bool begins = true;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const char32_t c = next_character(text, at);
    const bool separates =
        is_space(c) || (c < 0x80 && std::string_view("-({[<").find(static_cast<char>(c)) != std::string::npos);
    const std::string_view character = std::string_view(text).substr(start, at - start);
    out += change_case(character, begins ? Case::upper : Case::lower);
    begins = separates;
  }
  return call.machine.text(std::move(out));
}

Value trim_filter(const Call& call) {
  const Parameters given = call.parameters({"chars"});
  const std::string text = call.text();
  return call.machine.text(strip(text, true, true, given.string(0)));
}

Value replace_filter(const Call& call) {
  const Parameters given = call.parameters({"old", "new", "count"}, 2);
  Machine& machine = call.machine;
  Arguments arguments;
  arguments.positional = {machine.text(to_text(machine, given.get(0))), machine.text(to_text(machine, given.get(1)))};
  if (given.given(2) && !given.get(2).is_none()) arguments.positional.push_back(given.get(2));
  return call_method(machine, machine.text(call.text()), "replace", arguments);
}

Value indent_filter(const Call& call) {
  const Parameters given = call.parameters({"width", "first", "blank"});
  if (!call.value.is_string()) throw Fault{"the filter 'indent' wants a string, got a " + call.value.type_name()};
  const bool with_string = given.given(0) && given.get(0).is_string();
  const int64_t width = with_string ? 0 : std::max<int64_t>(given.integer(0, 4), 0);
  if (width > 10'000) throw Fault{"the filter 'indent' indents by at most 10000"};
  const std::string indent = with_string ? given.get(0).as_string() : std::string(static_cast<size_t>(width), ' ');
  std::string out = given.boolean(1, false) ? indent : "";
  const std::string text = call.text() + "\n";
  bool first = true;
  for (const std::string_view line : split_lines(text, false)) {
    if (!first) out += "\n";
    if (!first && (!line.empty() || given.boolean(2, false))) out += indent;
    out += line;
    first = false;
    call.machine.budget().check_room(out.size());
  }
  return call.machine.text(std::move(out));
}

Value center_filter(const Call& call) {
  const Parameters given = call.parameters({"width"});
  Arguments arguments;
  arguments.positional = {Value::integer(given.integer(0, 80))};
  return call_method(call.machine, call.machine.text(call.text()), "center", arguments);
}

Value truncate_filter(const Call& call) {
  const Parameters given = call.parameters({"length", "killwords", "end", "leeway"});
  const std::string text = call.text(), end(given.string(2).value_or("..."));
  const int64_t length = given.integer(0, 255), leeway = given.integer(3, 5);
  const auto end_length = static_cast<int64_t>(character_count(end));
  if (length < end_length || leeway < 0)
    throw Fault{"the filter 'truncate' wants a length of at least that of its end"};
  if (static_cast<int64_t>(character_count(text)) - leeway <= length) return call.machine.text(text);
  std::string kept = text.substr(0, character_offset(text, static_cast<size_t>(length - end_length)));
  if (!given.boolean(1, false)) {
    if (const size_t blank = kept.rfind(' '); blank != kept.npos) kept.resize(blank);
  }
  return call.machine.text(kept + end);
}

Value word_count_filter(const Call& call) {
  const std::string text = call.text();
  int64_t count = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_character(text, at);
    const bool word = c == '_' || is_alphabetic(c) || is_digit(c);
    if (word && !inside) ++count;
    inside = word;
  }
  return Value::integer(count);
}

Value string_filter(const Call& call) {
  call.parameters({});
  return call.value.is_string() ? call.value : call.machine.text(call.text());
}

Value format_filter(const Call& call) {
  const Arguments& given = call.arguments;
  Machine& machine = call.machine;
  if (!given.positional.empty() && !given.named.empty()) {
    throw Fault{"the filter 'format' takes values by place or by name, not both"};
  }
  if (given.named.empty()) return format_percent(machine, call.text(), machine.tuple(given.positional));
  std::vector<Dict::Entry> entries;
  for (const auto& [name, value] : given.named) entries.emplace_back(machine.text(name), value);
  return format_percent(machine, call.text(), machine.dict(std::move(entries)));
}

Value json_filter(const Call& call) {
  const Parameters given = call.parameters({"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii = given.boolean(0, false);
  style.sort_keys = given.boolean(3, false);
  if (given.given(1) && !given.get(1).is_none()) {
    if (given.get(1).is_string()) {
      style.indent = given.get(1).as_string();
    } else {
      const int64_t width = std::max<int64_t>(given.integer(1, 0), 0);
      if (width > 1000) throw Fault{"the filter 'tojson' indents by at most 1000"};
      style.indent = std::string(static_cast<size_t>(width), ' ');
    }
    style.item_separator = ",";
  }
  if (given.given(2) && !given.get(2).is_none()) {
    const Items both = iterate(call.machine, given.get(2));
    if (both.size() != 2 || !both.begin()->is_string() || !(both.begin() + 1)->is_string()) {
      throw Fault{"the filter 'tojson' wants two strings as separators"};
    }
    style.item_separator = both.begin()->as_string();
    style.key_separator = (both.begin() + 1)->as_string();
  }
  return call.machine.text(to_json(call.machine, call.value, style));
}

// --- numbers ---

Value abs_filter(const Call& call) {
  require_defined(call.value);
  if (!call.value.is_number()) throw Fault{"the filter 'abs' wants a number, got a " + call.value.type_name()};
  if (!call.value.is_integral()) return Value::real(std::fabs(call.value.as_real()));
  return call.value.as_int() < 0 ? negate(call.value) : Value::integer(call.value.as_int());
}

Value int_filter(const Call& call) {
  const Parameters given = call.parameters({"default", "base"});
  const Value fallback = given.given(0) ? given.get(0) : Value::integer(0);
  const Value& value = call.value;
  require_defined(value);
  if (value.is_integral()) return Value::integer(value.as_int());
  std::optional<double> number;
  if (value.is_string()) {
    if (const auto whole =
            parse_integer(value.as_string(), static_cast<int>(std::clamp<int64_t>(given.integer(1, 10), -1, 99)))) {
      return Value::integer(*whole);
    }
    number = parse_real(value.as_string());
  } else if (value.is_number()) {
    number = value.as_real();
  }
  if (!number || !std::isfinite(*number)) return fallback;
  if (std::fabs(*number) >= 9223372036854775808.0) throw Fault{"an integer does not fit into 64 bits"};
  return Value::integer(static_cast<int64_t>(*number));
}

Value float_filter(const Call& call) {
  const Parameters given = call.parameters({"default"});
  require_defined(call.value);
  if (call.value.is_number()) return Value::real(call.value.as_real());
  if (call.value.is_string()) {
    if (const auto number = parse_real(call.value.as_string())) return Value::real(*number);
  }
  return given.given(0) ? given.get(0) : Value::real(0);
}

Value round_filter(const Call& call) {
  const Parameters given = call.parameters({"precision", "method"});
  const std::string_view method = given.string(1).value_or("common");
  const int64_t precision = given.integer(0, 0);
  if (method != "common" && method != "ceil" && method != "floor") {
    throw Fault{"the filter 'round' has the methods common, ceil and floor"};
  }
  if (!call.value.is_number()) throw Fault{"the filter 'round' wants a number, got a " + call.value.type_name()};
  if (std::abs(precision) > 300) throw Fault{"the filter 'round' rounds to at most 300 digits"};
  if (method != "common") {
    const double scale = std::pow(10.0, static_cast<double>(precision));
    const double scaled = call.value.as_real() * scale;
    return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
  }
  if (call.value.is_integral() && precision >= 0) return Value::integer(call.value.as_int());
  if (precision < 0) throw Fault{"the filter 'round' rounds to no fewer than 0 digits"};
  if (!std::isfinite(call.value.as_real())) return call.value;
  char digits[700];
  std::snprintf(digits, sizeof digits, "%.*f", static_cast<int>(precision), call.value.as_real());
  return Value::real(parse_real(digits).value_or(0));
}

// --- sequences ---

Value length_filter(const Call& call) {
  call.parameters({});
  const auto count = length(call.value);
  if (!count) throw Fault{"a " + call.value.type_name() + " has no length"};
  return Value::integer(*count);
}

Value list_filter(const Call& call) {
  call.parameters({});
  return call.machine.list(values_of(call));
}

Value first_filter(const Call& call) {
  call.parameters({});
  if (call.value.is_sequence(SequenceType::generator)) {
    const Sequence& generator = call.value.as_sequence();
    if (generator.taken < generator.items.size()) return generator.items[generator.taken++];
    return Value::undefined("there is no first element, the sequence is empty");
  }
  const Items items = iterate(call.machine, call.value);
  return items.size() > 0 ? *items.begin() : Value::undefined("there is no first element, the sequence is empty");
}

Value last_filter(const Call& call) {
  call.parameters({});
  const bool reversible =
      call.value.is_string() || call.value.is_dict() || call.value.is_undefined() ||
      (call.value.kind() == Kind::sequence && call.value.as_sequence().type != SequenceType::generator);
  if (!reversible || call.value.is_undefined()) {
    require_defined(call.value);
    throw Fault{"a " + call.value.type_name() + " has no last element"};
  }
  const Items items = iterate(call.machine, call.value);
  return items.size() > 0 ? *(items.end() - 1) : Value::undefined("there is no last element, the sequence is empty");
}

Value join_filter(const Call& call) {
  const Parameters given = call.parameters({"d", "attribute"});
  Machine& machine = call.machine;
  const std::string between = given.given(0) ? to_text(machine, given.get(0)) : "";
  const bool by_attribute = given.given(1) && !given.get(1).is_none();
  const auto path = by_attribute ? attribute_path(machine, given.get(1)) : std::vector<Value>();
  std::string out;
  bool first = true;
  for (const Value& item : iterate(machine, call.value)) {
    if (!first) out += between;
    first = false;
    out += to_text(machine, attribute_of(machine, item, path));
    machine.budget().check_room(out.size());
    machine.spend(1);
  }
  return machine.text(std::move(out));
}

Value reverse_filter(const Call& call) {
  call.parameters({});
  if (call.value.is_string()) {
    return get_slice(call.machine, call.value, Value::none(), Value::none(), Value::integer(-1));
  }
  Values items = values_of(call);
  std::reverse(items.begin(), items.end());
  return call.machine.generator(std::move(items));
}

Value sort_filter(const Call& call) {
  const Parameters given = call.parameters({"reverse", "case_sensitive", "attribute"});
  const SortKey key(call.machine, given.find(2), given.boolean(1, false), true);
  return sorted(call.machine, values_of(call), key, given.boolean(0, false));
}

// Pairs of an attribute's value and the elements that have it, ordered by value.
Value group_by_filter(const Call& call) {
  Machine& machine = call.machine;
  const Parameters given = call.parameters({"attribute", "default", "case_sensitive"}, 1);
  const auto path = attribute_path(machine, given.get(0));
  const auto whole_key = [&](const Value& item) { return attribute_of(machine, item, path, given.find(1)); };
  const bool case_sensitive = given.boolean(2, false);
  const auto key = [&](const Value& item) {
    Value value = whole_key(item);
    if (!case_sensitive && value.is_string()) value = machine.text(change_case(value.as_string(), Case::lower));
    return value;
  };
  const Value all = sorted(machine, values_of(call), key, false);
  const Values& items = all.as_sequence().items;
  Values groups;
  for (size_t begin = 0, end = 0; begin < items.size(); begin = end) {
    const Value first = key(items[begin]);
    for (end = begin + 1; end < items.size() && equal(machine, key(items[end]), first);) ++end;
    Values members(items.begin() + static_cast<std::ptrdiff_t>(begin),
                   items.begin() + static_cast<std::ptrdiff_t>(end));
    Value group = machine.tuple({whole_key(items[begin]), machine.list(std::move(members))});
    group.as_sequence().is_group = true;
    groups.push_back(std::move(group));
  }
  return machine.list(std::move(groups));
}

Value unique_filter(const Call& call) {
  const Parameters given = call.parameters({"case_sensitive", "attribute"});
  const SortKey key(call.machine, given.find(1), given.boolean(0, false), false);
  const Values items = values_of(call);
  // The first element of each key; a dict maps keys to these positions.
  std::vector<Dict::Entry> places;
  for (size_t i = items.size(); i-- > 0;) places.emplace_back(key(items[i]), Value::integer(static_cast<int64_t>(i)));
  std::vector<bool> kept(items.size());
  const Value firsts = call.machine.dict(std::move(places));
  for (const auto& [unused, place] : firsts.as_dict().entries) kept[static_cast<size_t>(place.as_int())] = true;
  Values all;
  for (size_t i = 0; i < items.size(); ++i) {
    if (kept[i]) all.push_back(items[i]);
  }
  return call.machine.generator(std::move(all));
}

template <bool greatest>
Value extreme_filter(const Call& call) {
  const Parameters given = call.parameters({"case_sensitive", "attribute"});
  const SortKey key(call.machine, given.find(1), given.boolean(0, false), false);
  const Values items = values_of(call);
  if (items.empty()) return Value::undefined("there is no element, the sequence is empty");
  size_t best = 0;
  Value best_key = key(items[0]);
  for (size_t i = 1; i < items.size(); ++i) {
    Value other = key(items[i]);
    const auto relation = order(call.machine, other, best_key);
    if (greatest ? relation > 0 : relation < 0) {
      best = i;
      best_key = std::move(other);
    }
  }
  return items[best];
}

Value sum_filter(const Call& call) {
  const Parameters given = call.parameters({"attribute", "start"});
  const bool by_attribute = given.given(0) && !given.get(0).is_none();
  const auto path = by_attribute ? attribute_path(call.machine, given.get(0)) : std::vector<Value>();
  Value total = given.given(1) ? given.get(1) : Value::integer(0);
  if (total.is_string()) throw Fault{"the filter 'sum' does not add strings"};
  for (const Value& item : iterate(call.machine, call.value)) {
    total = binary(call.machine, Op::add, total, attribute_of(call.machine, item, path));
  }
  return total;
}

Value batch_filter(const Call& call) {
  const Parameters given = call.parameters({"linecount", "fill_with"}, 1);
  const int64_t count = given.integer(0, 1);
  const bool fills = given.given(1) && !given.get(1).is_none();
  if (fills && count > kMaxRange) throw Fault{"the filter 'batch' fills up to at most 100000"};
  Values rows, row;
  for (const Value& item : iterate(call.machine, call.value)) {
    if (static_cast<int64_t>(row.size()) == count) rows.push_back(call.machine.list(std::exchange(row, {})));
    row.push_back(item);
  }
  if (!row.empty()) {
    while (fills && static_cast<int64_t>(row.size()) < count) row.push_back(given.get(1));
    rows.push_back(call.machine.list(std::move(row)));
  }
  return call.machine.generator(std::move(rows));
}

Value slice_filter(const Call& call) {
  const Parameters given = call.parameters({"slices", "fill_with"}, 1);
  const int64_t slices = given.integer(0, 1);
  if (slices == 0) throw Fault{"division by zero"};
  if (slices > kMaxRange) throw Fault{"the filter 'slice' makes at most 100000 slices"};
  const Values items = values_of(call);
  const auto count = static_cast<int64_t>(items.size());
  Values all;
  for (int64_t i = 0, at = 0; i < slices; ++i) {
    const bool has_extra = i < count % slices;
    const int64_t size = count / slices + (has_extra ? 1 : 0);
    Values slice(items.begin() + at, items.begin() + at + size);
    at += size;
    if (!has_extra && given.given(1) && !given.get(1).is_none()) slice.push_back(given.get(1));
    all.push_back(call.machine.list(std::move(slice)));
  }
  return call.machine.generator(std::move(all));
}

Value map_filter(const Call& call) {
  Machine& machine = call.machine;
  Values all;
  if (call.arguments.positional.empty() && !call.arguments.named.empty() &&
      std::any_of(call.arguments.named.begin(), call.arguments.named.end(),
                  [](const auto& argument) { return argument.first == "attribute"; })) {
    const Parameters given = call.parameters({"attribute", "default"}, 1);
    const auto path = attribute_path(machine, given.get(0));
    for (const Value& item : iterate(machine, call.value)) {
      all.push_back(attribute_of(machine, item, given.get(0).is_none() ? std::vector<Value>() : path, given.find(1)));
    }
  } else {
    if (call.arguments.positional.empty()) throw Fault{"the filter 'map' wants the name of a filter or an attribute"};
    const Value& name = call.arguments.positional[0];
    if (!name.is_string()) throw Fault{"the filter 'map' wants the name of a filter, got a " + name.type_name()};
    Arguments rest = call.arguments;
    rest.positional.erase(rest.positional.begin());
    for (const Value& item : iterate(machine, call.value)) {
      all.push_back(apply_filter(machine, name.as_string(), item, rest));
    }
  }
  return machine.generator(std::move(all));
}

// select, reject, selectattr, rejectattr.
template <bool wanted, bool by_attribute>
Value select_filter(const Call& call) {
  Machine& machine = call.machine;
  Arguments rest = call.arguments;
  std::vector<Value> path;
  const auto take_first = [&] {
    Value first = rest.positional[0];
    rest.positional.erase(rest.positional.begin());
    return first;
  };
  if (by_attribute) {
    if (rest.positional.empty()) throw Fault{"the filter '" + std::string(call.name) + "' wants an attribute"};
    const Value attribute = take_first();
    if (!attribute.is_none()) path = attribute_path(machine, attribute);
  }
  std::optional<std::string> test;
  if (!rest.positional.empty()) {
    const Value name = take_first();
    if (!name.is_string()) throw Fault{"the name of a test is a string, not a " + name.type_name()};
    test = name.as_string();
  }
  Values all;
  for (const Value& item : iterate(machine, call.value)) {
    machine.spend(1);
    const Value examined = attribute_of(machine, item, path);
    const bool holds = test ? apply_test(machine, *test, examined, rest) : examined.truth();
    if (holds == wanted) all.push_back(item);
  }
  return machine.generator(std::move(all));
}

// --- dicts ---

Value items_filter(const Call& call) {
  call.parameters({});
  Values pairs;
  if (!call.value.is_undefined()) {
    if (!call.value.is_dict()) throw Fault{"the filter 'items' wants a dict, got a " + call.value.type_name()};
    for (const auto& [key, value] : call.value.as_dict().entries) pairs.push_back(call.machine.tuple({key, value}));
  }
  return call.machine.generator(std::move(pairs));
}

Value dict_sort_filter(const Call& call) {
  const Parameters given = call.parameters({"case_sensitive", "by", "reverse"});
  const std::string_view by = given.string(1).value_or("key");
  if (by != "key" && by != "value") throw Fault{"the filter 'dictsort' sorts by key or value"};
  require_defined(call.value);
  if (!call.value.is_dict()) throw Fault{"the filter 'dictsort' wants a dict, got a " + call.value.type_name()};
  Values pairs;
  for (const auto& [key, value] : call.value.as_dict().entries) pairs.push_back(call.machine.tuple({key, value}));
  const Value place = Value::integer(by == "key" ? 0 : 1);
  const SortKey key(call.machine, &place, given.boolean(0, false), false);
  return sorted(call.machine, pairs, key, given.boolean(2, false));
}

// --- the rest ---

Value default_filter(const Call& call) {
  const Parameters given = call.parameters({"default_value", "boolean"});
  const bool replaced = call.value.is_undefined() || (given.boolean(1, false) && !call.value.truth());
  if (!replaced) return call.value;
  return given.given(0) ? given.get(0) : call.machine.text("");
}

Value attr_filter(const Call& call) {
  const Parameters given = call.parameters({"name"}, 1);
  const std::string_view name = given.string(0).value_or("");
  if (call.value.is_dict() && !has_method(call.value, name)) {
    return Value::undefined("a dict has no attribute '" + std::string(name) + "'");
  }
  return get_attribute(call.machine, call.value, name);
}

const std::map<std::string_view, Filter, std::less<>>& filters() {
  static const std::map<std::string_view, Filter, std::less<>> all = {
      {"abs", abs_filter},
      {"attr", attr_filter},
      {"batch", batch_filter},
      {"capitalize", case_filter<Case::capitalize>},
      {"center", center_filter},
      {"count", length_filter},
      {"d", default_filter},
      {"default", default_filter},
      {"dictsort", dict_sort_filter},
      {"first", first_filter},
      {"float", float_filter},
      {"format", format_filter},
      {"groupby", group_by_filter},
      {"indent", indent_filter},
      {"int", int_filter},
      {"items", items_filter},
      {"join", join_filter},
      {"last", last_filter},
      {"length", length_filter},
      {"list", list_filter},
      {"lower", case_filter<Case::lower>},
      {"map", map_filter},
      {"max", extreme_filter<true>},
      {"min", extreme_filter<false>},
      {"reject", select_filter<false, false>},
      {"rejectattr", select_filter<false, true>},
      {"replace", replace_filter},
      {"reverse", reverse_filter},
      {"round", round_filter},
      {"safe", string_filter},
      {"select", select_filter<true, false>},
      {"selectattr", select_filter<true, true>},
      {"slice", slice_filter},
      {"sort", sort_filter},
      {"string", string_filter},
      {"sum", sum_filter},
      {"title", title_filter},
      {"tojson", json_filter},
      {"trim", trim_filter},
      {"truncate", truncate_filter},
      {"unique", unique_filter},
      {"upper", case_filter<Case::upper>},
      {"wordcount", word_count_filter},
  };
  return all;
}

}  // namespace

bool has_filter(std::string_view name) { return filters().contains(name); }

Value apply_filter(Machine& machine, std::string_view name, const Value& value, const Arguments& arguments) {
  machine.spend(1);
  const auto found = filters().find(name);
  if (found == filters().end()) throw Fault{"the filter '" + std::string(name) + "' is not known"};
  return found->second({machine, value, name, arguments});
}

}  // namespace weft::jinja

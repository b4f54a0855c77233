#include "runtime/text/jinja/methods.h"

#include <algorithm>
#include <array>
#include <map>

#include "runtime/text/jinja/format.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/parameters.h"
#include "runtime/text/jinja/print.h"
#include "runtime/text/jinja/text.h"

namespace weft::jinja {

namespace {

struct Call {
  Machine& machine;
  const Value& self;
  std::string_view name;
  const Arguments& arguments;

  Parameters parameters(std::initializer_list<std::string_view> names, size_t required = 0) const {
    return Parameters(std::string(name) + "()", arguments, names, required);
  }
  const std::string& text() const { return self.as_string(); }
};
using Method = Value (*)(const Call&);
using Methods = std::map<std::string_view, Method, std::less<>>;

template <bool left, bool right>
Value strip_method(const Call& call) {
  return call.machine.text(strip(call.text(), left, right, call.parameters({"chars"}).string(0)));
}

template <Case to>
Value case_method(const Call& call) {
  call.parameters({});
  return call.machine.text(change_case(call.text(), to));
}

template <bool from_right>
Value split_method(const Call& call) {
  const Parameters given = call.parameters({"sep", "maxsplit"});
  const auto separator = given.string(0);
  if (separator && separator->empty()) throw Fault{"split() wants a separator that is not empty"};
  call.machine.budget().check_room(call.text().size() * 2);
  Values parts;
  for (const std::string_view part : split(call.text(), separator, given.integer(1, -1), from_right)) {
    parts.push_back(call.machine.text(part));
  }
  return call.machine.list(std::move(parts));
}

// Characters [start, end) of the string, as for str.find and similar methods; nothing if start is past the end.
std::optional<std::string_view> part(const std::string& text, const Parameters& given, size_t first) {
  const auto count = static_cast<int64_t>(character_count(text));
  const auto bound = [&](size_t index, int64_t fallback) {
    const bool absent = !given.given(index) || given.get(index).is_none();
    const int64_t at = absent ? fallback : given.integer(index, fallback);
    return at < 0 ? std::max<int64_t>(at < -count ? 0 : at + count, 0) : at;
  };
  const int64_t start = bound(first, 0), end = std::min(bound(first + 1, count), count);
  if (start > end) return std::nullopt;
  const size_t from = character_offset(text, static_cast<size_t>(start));
  return std::string_view(text).substr(from, character_offset(text, static_cast<size_t>(end)) - from);
}

template <bool at_end>
Value affix_method(const Call& call) {
  const Parameters given = call.parameters({at_end ? "suffix" : "prefix", "start", "end"}, 1);
  const auto text = part(call.text(), given, 1);
  const auto matches = [&](const Value& affix) {
    if (!affix.is_string()) throw Fault{std::string(call.name) + "() wants a string, got a " + affix.type_name()};
    return text && (at_end ? text->ends_with(affix.as_string()) : text->starts_with(affix.as_string()));
  };
  const Value& affix = given.get(0);
  if (!affix.is_sequence(SequenceType::tuple)) return Value::boolean(matches(affix));
  const Values& all = affix.as_sequence().items;
  call.machine.spend(all.size());
  return Value::boolean(std::any_of(all.begin(), all.end(), matches));
}

template <bool at_end>
Value remove_affix_method(const Call& call) {
  const Parameters given = call.parameters({at_end ? "suffix" : "prefix"}, 1);
  std::string_view text = call.text();
  const std::string_view affix = given.string(0).value_or("");
  if (at_end && text.ends_with(affix)) text.remove_suffix(affix.size());
  if (!at_end && text.starts_with(affix)) text.remove_prefix(affix.size());
  return call.machine.text(text);
}

template <bool from_right, bool must>
Value find_method(const Call& call) {
  const Parameters given = call.parameters({"sub", "start", "end"}, 1);
  const std::string_view wanted = given.string(0).value_or("");
  call.machine.budget().spend_bytes(call.text().size());
  const auto text = part(call.text(), given, 1);
  const size_t at = !text ? std::string_view::npos : from_right ? text->rfind(wanted) : text->find(wanted);
  if (at == std::string_view::npos) {
    if (must) throw Fault{"the substring is not found"};
    return Value::integer(-1);
  }
  const auto before = static_cast<size_t>(text->data() - call.text().data()) + at;
  return Value::integer(static_cast<int64_t>(character_count(std::string_view(call.text()).substr(0, before))));
}

Value count_in_string(const Call& call) {
  const Parameters given = call.parameters({"sub", "start", "end"}, 1);
  const std::string_view wanted = given.string(0).value_or("");
  call.machine.budget().spend_bytes(call.text().size());
  const auto text = part(call.text(), given, 1);
  if (!text) return Value::integer(0);
  if (wanted.empty()) return Value::integer(static_cast<int64_t>(character_count(*text)) + 1);
  int64_t count = 0;
  for (size_t at = text->find(wanted); at != text->npos; at = text->find(wanted, at + wanted.size())) ++count;
  return Value::integer(count);
}

Value replace_method(const Call& call) {
  const Parameters given = call.parameters({"old", "new", "count"}, 2);
  const auto old = given.string(0), with = given.string(1);
  if (!old || !with) throw Fault{"replace() wants two strings"};
  int64_t left = given.integer(2, -1);
  const std::string& text = call.text();
  std::string out;
  size_t at = 0;
  const auto put = [&](std::string_view piece) {
    if (out.size() + piece.size() > kMaxMemory) throw Fault{"the replaced string is too long"};
    out += piece;
  };
  call.machine.budget().spend_bytes(text.size());
  while (left != 0) {
    size_t found = at;
    if (old->empty()) {  // before every character, and at the end
      put(*with);
      if (at == text.size()) break;
      next_character(text, at);
      put(std::string_view(text).substr(found, at - found));
    } else {
      found = text.find(*old, at);
      if (found == text.npos) break;
      put(std::string_view(text).substr(at, found - at));
      put(*with);
      at = found + old->size();
    }
    if (left > 0) --left;
  }
  put(std::string_view(text).substr(at));
  return call.machine.text(std::move(out));
}

Value join_method(const Call& call) {
  const Parameters given = call.parameters({"iterable"}, 1);
  std::string out;
  bool first = true;
  for (const Value& item : iterate(call.machine, given.get(0))) {
    if (!item.is_string()) throw Fault{"join() wants strings, got a " + item.type_name()};
    if (!first) out += call.text();
    first = false;
    out += item.as_string();
    call.machine.budget().check_room(out.size());
  }
  return call.machine.text(std::move(out));
}

template <bool from_right>
Value partition_method(const Call& call) {
  const Parameters given = call.parameters({"sep"}, 1);
  const std::string_view separator = given.string(0).value_or(""), text = call.text();
  if (separator.empty()) throw Fault{"partition() wants a separator that is not empty"};
  const size_t at = from_right ? text.rfind(separator) : text.find(separator);
  Machine& machine = call.machine;
  if (at != text.npos) {
    return machine.tuple(
        {machine.text(text.substr(0, at)), machine.text(separator), machine.text(text.substr(at + separator.size()))});
  }
  if (from_right) return machine.tuple({machine.text(""), machine.text(""), call.self});
  return machine.tuple({call.self, machine.text(""), machine.text("")});
}

template <char align>
Value justify_method(const Call& call) {
  const Parameters given = call.parameters({"width", "fillchar"}, 1);
  const std::string fill(given.string(1).value_or(" "));
  if (character_count(fill) != 1) throw Fault{std::string(call.name) + "() wants one character to fill with"};
  const int64_t width = given.integer(0, 0);
  const auto count = static_cast<int64_t>(character_count(call.text()));
  if (width <= count) return call.self;
  const int64_t gap = width - count;
  if (static_cast<uint64_t>(gap) > kMaxMemory) throw Fault{"the width is too large"};
  // str.center puts the extra space on the left where the width is odd.
  const int64_t before = align == '<' ? 0 : align == '>' ? gap : gap / 2 + (gap & width & 1);
  call.machine.budget().check_room(static_cast<size_t>(gap) * fill.size());
  std::string out;
  for (int64_t i = 0; i < before; ++i) out += fill;
  out += call.text();
  for (int64_t i = before; i < gap; ++i) out += fill;
  return call.machine.text(std::move(out));
}

Value zfill_method(const Call& call) {
  const int64_t width = call.parameters({"width"}, 1).integer(0, 0);
  const auto count = static_cast<int64_t>(character_count(call.text()));
  if (width <= count) return call.self;
  if (static_cast<uint64_t>(width) > kMaxMemory) throw Fault{"the width is too large"};
  call.machine.budget().check_room(static_cast<size_t>(width));
  std::string out = call.text();
  const size_t sign = !out.empty() && (out[0] == '-' || out[0] == '+') ? 1 : 0;
  out.insert(sign, static_cast<size_t>(width - count), '0');
  return call.machine.text(std::move(out));
}

Value split_lines_method(const Call& call) {
  const Parameters given = call.parameters({"keepends"});
  Values lines;
  for (const std::string_view line : split_lines(call.text(), given.boolean(0, false))) {
    lines.push_back(call.machine.text(line));
  }
  return call.machine.list(std::move(lines));
}

template <bool (*is)(char32_t)>
Value all_are(const Call& call) {
  call.parameters({});
  const std::string& text = call.text();
  call.machine.budget().spend_bytes(text.size());
  bool all = !text.empty();
  for (size_t at = 0; at < text.size() && all;) all = is(next_character(text, at));
  return Value::boolean(all);
}

bool is_alphanumeric(char32_t c) { return is_alphabetic(c) || is_digit(c); }
bool is_ascii(char32_t c) { return c < 0x80; }

template <bool upper>
Value is_in_case(const Call& call) {
  call.parameters({});
  return Value::boolean(is_all_in_case(call.text(), upper));
}

Value ascii_method(const Call& call) { return call.text().empty() ? Value::boolean(true) : all_are<is_ascii>(call); }

Value format_method(const Call& call) { return format_braces(call.machine, call.text(), call.arguments); }

const Methods& string_methods() {
  static const Methods methods = {
      {"strip", strip_method<true, true>},
      {"lstrip", strip_method<true, false>},
      {"rstrip", strip_method<false, true>},
      {"upper", case_method<Case::upper>},
      {"lower", case_method<Case::lower>},
      {"casefold", case_method<Case::lower>},
      {"title", case_method<Case::title>},
      {"capitalize", case_method<Case::capitalize>},
      {"swapcase", case_method<Case::swap>},
      {"split", split_method<false>},
      {"rsplit", split_method<true>},
      {"splitlines", split_lines_method},
      {"startswith", affix_method<false>},
      {"endswith", affix_method<true>},
      {"removeprefix", remove_affix_method<false>},
      {"removesuffix", remove_affix_method<true>},
      {"find", find_method<false, false>},
      {"rfind", find_method<true, false>},
      {"index", find_method<false, true>},
      {"rindex", find_method<true, true>},
      {"count", count_in_string},
      {"replace", replace_method},
      {"join", join_method},
      {"partition", partition_method<false>},
      {"rpartition", partition_method<true>},
      {"ljust", justify_method<'<'>},
      {"rjust", justify_method<'>'>},
      {"center", justify_method<'^'>},
      {"zfill", zfill_method},
      {"format", format_method},
      {"isspace", all_are<is_space>},
      {"isalpha", all_are<is_alphabetic>},
      {"isdigit", all_are<is_digit>},
      {"isdecimal", all_are<is_digit>},
      {"isnumeric", all_are<is_digit>},
      {"isalnum", all_are<is_alphanumeric>},
      {"isascii", ascii_method},
      {"isupper", is_in_case<true>},
      {"islower", is_in_case<false>},
  };
  return methods;
}

// --- lists and tuples ---

Value index_in_list(const Call& call) {
  const Parameters given = call.parameters({"value"}, 1);
  const Values& items = call.self.as_sequence().items;
  for (size_t i = 0; i < items.size(); ++i) {
    if (equal(call.machine, items[i], given.get(0))) return Value::integer(static_cast<int64_t>(i));
  }
  throw Fault{"the value is not in the list"};
}

Value count_in_list(const Call& call) {
  const Parameters given = call.parameters({"value"}, 1);
  const Values& items = call.self.as_sequence().items;
  return Value::integer(std::count_if(items.begin(), items.end(),
                                      [&](const Value& item) { return equal(call.machine, item, given.get(0)); }));
}

Value copy_method(const Call& call) {
  call.parameters({});
  return call.self;  // neither can be changed
}

const Methods& list_methods() {
  static const Methods methods = {{"index", index_in_list}, {"count", count_in_list}, {"copy", copy_method}};
  return methods;
}

// --- dicts ---

Value get_method(const Call& call) {
  const Parameters given = call.parameters({"key", "default"}, 1);
  if (!hashable(given.get(0))) throw Fault{"a " + given.get(0).type_name() + " cannot be a key"};
  if (const Value* found = call.self.as_dict().find(given.get(0))) return *found;
  return given.given(1) ? given.get(1) : Value::none();
}

template <SequenceType type>
Value view_method(const Call& call) {
  call.parameters({});
  Values items;
  for (const auto& [key, value] : call.self.as_dict().entries) {
    items.push_back(type == SequenceType::keys     ? key
                    : type == SequenceType::values ? value
                                                   : call.machine.tuple({key, value}));
  }
  return call.machine.sequence(type, std::move(items));
}

const Methods& dict_methods() {
  static const Methods methods = {{"get", get_method},
                                  {"keys", view_method<SequenceType::keys>},
                                  {"values", view_method<SequenceType::values>},
                                  {"items", view_method<SequenceType::items>},
                                  {"copy", copy_method}};
  return methods;
}

const Methods* methods_of(const Value& object) {
  if (object.is_string()) return &string_methods();
  if (object.is_dict()) return &dict_methods();
  if (object.kind() == Kind::sequence && object.as_sequence().type <= SequenceType::range) return &list_methods();
  return nullptr;
}

class BoundMethod final : public Object {
 public:
  BoundMethod(Budget* budget, Value self, std::string name)
      : Object(budget, self.depth() + 1), self_(std::move(self)), name_(std::move(name)) {}
  std::string type_name() const override { return "method"; }
  bool callable() const override { return true; }
  Value call(Machine& machine, Arguments& arguments) override { return call_method(machine, self_, name_, arguments); }

 private:
  Value self_;
  std::string name_;
};

}  // namespace

bool has_method(const Value& object, std::string_view name) {
  const Methods* methods = methods_of(object);
  return methods != nullptr && methods->contains(name);
}

bool changes_value(const Value& object, std::string_view name) {
  constexpr std::array<std::string_view, 8> kList = {"append", "clear",  "extend",  "insert",
                                                     "pop",    "remove", "reverse", "sort"};
  constexpr std::array<std::string_view, 5> kDict = {"clear", "pop", "popitem", "setdefault", "update"};
  if (object.is_dict()) return std::find(kDict.begin(), kDict.end(), name) != kDict.end();
  return object.is_sequence(SequenceType::list) && std::find(kList.begin(), kList.end(), name) != kList.end();
}

Value bound_method(Machine& machine, const Value& object, std::string_view name) {
  return Value::object(std::make_shared<BoundMethod>(&machine.budget(), object, std::string(name)));
}

Value call_method(Machine& machine, const Value& object, std::string_view name, Arguments& arguments) {
  machine.spend(1);
  const Methods& methods = *methods_of(object);
  return methods.find(name)->second({machine, object, name, arguments});
}

}  // namespace weft::jinja

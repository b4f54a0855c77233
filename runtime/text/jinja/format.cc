#include "runtime/text/jinja/format.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/print.h"
#include "runtime/text/jinja/text.h"

namespace weft::jinja {

namespace {

constexpr int64_t kMaxWidth = 10'000;

struct Spec {
  std::string fill = " ";
  char align = '\0';  // < > ^ =
  char sign = '-';
  bool alternate = false, comma = false;
  int64_t width = 0;
  int64_t precision = -1;
  char type = '\0';
};

int64_t take_number(std::string_view text, size_t& at, int64_t fallback) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), number);
  if (end == text.data() + at) return fallback;
  if (error != std::errc() || number < 0 || number > kMaxWidth) throw Fault{"a width or precision is out of range"};
  at = static_cast<size_t>(end - text.data());
  return number;
}

std::string padded(const std::string& text, const Spec& spec, char align) {
  const auto count = static_cast<int64_t>(character_count(text));
  if (count >= spec.width) return text;
  const int64_t gap = spec.width - count;
  const int64_t before = align == '<' ? 0 : align == '^' ? gap / 2 : gap;
  std::string out;
  const auto fill = [&](int64_t times) {
    for (int64_t i = 0; i < times; ++i) out += spec.fill;
  };
  if (align == '=') {  // between sign and digits
    const size_t sign = !text.empty() && (text[0] == '-' || text[0] == '+' || text[0] == ' ') ? 1 : 0;
    out += text.substr(0, sign);
    fill(gap);
    return out + text.substr(sign);
  }
  fill(before);
  out += text;
  fill(gap - before);
  return out;
}

std::string grouped(std::string digits) {
  const size_t point = std::min(digits.find_first_of(".e"), digits.size());
  for (size_t at = point; at > 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string integer_digits(uint64_t value, char type) {
  char buffer[72];
  const int base = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value, base);
  std::string digits(buffer, end);
  if (type == 'X') digits = change_case(digits, Case::upper);
  return digits;
}

std::string real_digits(double value, const Spec& spec, char type) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return "inf";
  const std::string pattern = std::string("%") + (spec.alternate ? "#" : "") + ".*" + type;
  const int precision = static_cast<int>(spec.precision < 0 ? 6 : spec.precision);
  const int size = std::snprintf(nullptr, 0, pattern.c_str(), precision, value);
  std::string text(static_cast<size_t>(size) + 1, '\0');
  std::snprintf(text.data(), text.size(), pattern.c_str(), precision, value);
  text.pop_back();
  return text;
}

std::string with_sign(bool negative, const Spec& spec, const std::string& digits) {
  return (negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign)) + digits;
}

// A number by a type of Python's format specifications or of %.
std::string number_by_type(const Value& value, const Spec& spec) {
  char type = spec.type;
  if (type == '\0') type = value.is_integral() ? 'd' : 'r';
  constexpr std::string_view kIntegers = "dxXob", kReals = "fFeEgG%";
  if (kIntegers.find(type) != kIntegers.npos) {
    if (!value.is_integral()) throw Fault{std::string("the format '") + type + "' wants an integer"};
    const int64_t number = value.as_int();
    std::string digits =
        integer_digits(number < 0 ? uint64_t{0} - static_cast<uint64_t>(number) : static_cast<uint64_t>(number), type);
    if (spec.comma) digits = grouped(digits);
    if (spec.alternate && type != 'd') digits = std::string("0") + type + digits;
    return with_sign(number < 0, spec, digits);
  }
  const double number = value.as_real();
  const bool negative = std::signbit(number) && !std::isnan(number);
  std::string digits;
  if (type == 'r') {
    digits = spec.precision < 0 ? real_text(std::fabs(number)) : real_digits(std::fabs(number), spec, 'g');
  } else if (kReals.find(type) == kReals.npos) {
    throw Fault{std::string("the format '") + type + "' is not known for numbers"};
  } else if (type == '%') {
    digits = real_digits(std::fabs(number) * 100, spec, 'f') + "%";
  } else {
    digits = real_digits(std::fabs(number), spec, type);
  }
  if (spec.comma) digits = grouped(digits);
  return with_sign(negative, spec, digits);
}

// --- % ---

class PercentFormatter {
 public:
  PercentFormatter(Machine& machine, std::string_view pattern, const Value& values)
      : machine_(machine), pattern_(pattern), values_(values) {}

  Value run() {
    std::string out;
    for (size_t at = 0; at < pattern_.size();) {
      const size_t percent = std::min(pattern_.find('%', at), pattern_.size());
      out += pattern_.substr(at, percent - at);
      at = percent;
      if (at < pattern_.size()) convert(++at, out);
      machine_.spend(1);
      machine_.budget().check_room(out.size());
    }
    if (values_.is_sequence(SequenceType::tuple) ? next_ < values_.as_sequence().items.size()
                                                 : next_ == 0 && !values_.is_dict() && !is_list()) {
      throw Fault{"not all values are used by the format"};
    }
    return machine_.text(std::move(out));
  }

 private:
  bool is_list() const { return values_.is_sequence(SequenceType::list); }

  Value next() {
    if (values_.is_sequence(SequenceType::tuple)) {
      const Values& items = values_.as_sequence().items;
      if (next_ == items.size()) throw Fault{"the format wants more values"};
      return items[next_++];
    }
    if (next_++ > 0) throw Fault{"the format wants more values"};
    return values_;
  }

  int64_t number_or_star(size_t& at, int64_t fallback) {
    if (at >= pattern_.size() || pattern_[at] != '*') return take_number(pattern_, at, fallback);
    ++at;
    const Value value = next();
    if (!value.is_integral() || std::abs(value.as_int()) > kMaxWidth) throw Fault{"* wants a small integer"};
    return value.as_int();
  }

  void convert(size_t& at, std::string& out) {
    const auto peek = [&] { return at < pattern_.size() ? pattern_[at] : '\0'; };
    std::optional<Value> named;
    if (peek() == '(') {
      const size_t end = pattern_.find(')', at);
      if (end == pattern_.npos || !values_.is_dict()) throw Fault{"%(name) wants a dict"};
      const Value* found = values_.as_dict().find(pattern_.substr(at + 1, end - at - 1));
      if (found == nullptr) throw Fault{"the format names a key that is not there"};
      named = *found;
      at = end + 1;
    }
    Spec spec;
    bool left = false, zeros = false;
    for (;; ++at) {
      if (peek() == '-') {
        left = true;
      } else if (peek() == '0') {
        zeros = true;
      } else if (peek() == '+' || (peek() == ' ' && spec.sign != '+')) {
        spec.sign = peek();
      } else if (peek() == '#') {
        spec.alternate = true;
      } else if (peek() != ' ') {
        break;
      }
    }
    spec.width = number_or_star(at, 0);
    if (spec.width < 0) {
      left = true;
      spec.width = -spec.width;
    }
    if (peek() == '.') {
      ++at;
      spec.precision = std::max<int64_t>(number_or_star(at, 0), 0);
    }
    while (peek() == 'h' || peek() == 'l' || peek() == 'L') ++at;
    const char type = peek();
    if (type == '\0') throw Fault{"the format ends inside of a conversion"};
    ++at;
    if (type == '%') {
      out += '%';
      return;
    }
    const Value value = named ? *named : next();
    const char align = left ? '<' : '>';
    if (type == 's' || type == 'r') {
      std::string text = type == 's' ? to_text(machine_, value) : repr(machine_, value);
      if (spec.precision >= 0) text.resize(character_offset(text, static_cast<size_t>(spec.precision)));
      out += padded(text, spec, align);
      return;
    }
    if (type == 'c') {
      std::string text;
      if (value.is_string() && character_count(value.as_string()) == 1) {
        text = value.as_string();
      } else if (value.is_integral() && value.as_int() >= 0 && value.as_int() <= 0x10FFFF &&
                 (value.as_int() < 0xD800 || value.as_int() > 0xDFFF)) {
        append_character(text, static_cast<char32_t>(value.as_int()));
      } else {
        throw Fault{"%c wants a character"};
      }
      out += padded(text, spec, align);
      return;
    }
    require_defined(value);
    if (!value.is_number()) throw Fault{std::string("%") + type + " wants a number, got a " + value.type_name()};
    const bool integer = type == 'd' || type == 'i' || type == 'u';
    spec.type = integer ? 'd' : type;
    Value number = value;
    if (integer && value.kind() == Kind::real) {
      if (!(std::fabs(value.as_real()) < 9e18)) throw Fault{"%d wants a finite number of 64 bits"};
      number = Value::integer(static_cast<int64_t>(value.as_real()));
    }
    if (spec.type == '%' || spec.type == 'b') throw Fault{std::string("the conversion %") + type + " is not known"};
    std::string text = number_by_type(number, spec);
    if (number.is_integral() && spec.precision >= 0 && std::string_view("dxXo").find(spec.type) != std::string::npos) {
      const size_t sign = text[0] == '-' || text[0] == '+' || text[0] == ' ' ? 1 : 0;
      const auto digits = static_cast<int64_t>(text.size() - sign);
      if (digits < spec.precision) text.insert(sign, static_cast<size_t>(spec.precision - digits), '0');
    }
    if (zeros && !left) {
      spec.fill = "0";
      out += padded(text, spec, '=');
    } else {
      out += padded(text, spec, align);
    }
  }

  Machine& machine_;
  std::string_view pattern_;
  const Value& values_;
  size_t next_ = 0;
};

// --- {} ---

Spec parse_spec(std::string_view text) {
  Spec spec;
  size_t at = 0;
  const auto peek = [&] { return at < text.size() ? text[at] : '\0'; };
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  if (!text.empty()) {
    size_t first = 0;
    next_character(text, first);
    if (first < text.size() && is_align(text[first])) {
      spec.fill = std::string(text.substr(0, first));
      spec.align = text[first];
      at = first + 1;
    } else if (is_align(text[0])) {
      spec.align = text[0];
      at = 1;
    }
  }
  if (peek() == '+' || peek() == '-' || peek() == ' ') spec.sign = text[at++];
  if (peek() == '#') {
    spec.alternate = true;
    ++at;
  }
  if (peek() == '0') {
    ++at;
    if (spec.align == '\0') {
      spec.fill = "0";
      spec.align = '=';
    }
  }
  spec.width = take_number(text, at, 0);
  if (peek() == ',') {
    spec.comma = true;
    ++at;
  }
  if (peek() == '.') {
    ++at;
    spec.precision = take_number(text, at, -1);
    if (spec.precision < 0) throw Fault{"the format's precision is missing"};
  }
  if (at < text.size()) spec.type = text[at++];
  if (at < text.size()) throw Fault{"the format specification '" + std::string(text) + "' is not known"};
  return spec;
}

std::string by_spec(Machine& machine, const Value& value, std::string_view text) {
  if (text.empty()) return to_text(machine, value);
  const Spec spec = parse_spec(text);
  if (value.is_number() && !(value.kind() == Kind::boolean && spec.type == '\0')) {
    return padded(number_by_type(value, spec), spec, spec.align == '\0' ? '>' : spec.align);
  }
  const bool plain = value.is_string() || value.kind() == Kind::boolean;
  if (!plain || (spec.type != '\0' && spec.type != 's') || spec.sign != '-' || spec.comma || spec.align == '=') {
    throw Fault{"the format specification '" + std::string(text) + "' is not for a " + value.type_name()};
  }
  std::string shown = to_text(machine, value);
  if (spec.precision >= 0) shown.resize(character_offset(shown, static_cast<size_t>(spec.precision)));
  return padded(shown, spec, spec.align == '\0' ? '<' : spec.align);
}

Value field_value(Machine& machine, std::string_view field, const Arguments& arguments, size_t& automatic) {
  const size_t name_end = std::min(field.find_first_of(".["), field.size());
  const std::string_view name = field.substr(0, name_end);
  Value value;
  size_t index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (name.empty() || (end == name.data() + name.size() && error == std::errc())) {
    if (name.empty()) index = automatic++;
    if (index >= arguments.positional.size()) throw Fault{"the format wants more values"};
    value = arguments.positional[index];
  } else {
    const auto found = std::find_if(arguments.named.begin(), arguments.named.end(),
                                    [&](const auto& argument) { return argument.first == name; });
    if (found == arguments.named.end()) throw Fault{"the format names '" + std::string(name) + "', which is not given"};
    value = found->second;
  }
  for (size_t at = name_end; at < field.size();) {
    if (field[at] == '.') {
      const size_t stop = std::min(field.find_first_of(".[", at + 1), field.size());
      value = get_attribute(machine, value, field.substr(at + 1, stop - at - 1));
      at = stop;
    } else {
      const size_t stop = field[at] == '[' ? field.find(']', at) : field.npos;
      if (stop == field.npos) throw Fault{"a field of the format is malformed"};
      const std::string_view key = field.substr(at + 1, stop - at - 1);
      int64_t number = 0;
      const auto [tail, bad] = std::from_chars(key.data(), key.data() + key.size(), number);
      const bool is_number = bad == std::errc() && tail == key.data() + key.size() && number >= 0 && !key.empty();
      value = get_item(machine, value, is_number ? Value::integer(number) : machine.text(key));
      at = stop + 1;
    }
  }
  return value;
}

}  // namespace

Value format_percent(Machine& machine, std::string_view pattern, const Value& values) {
  return PercentFormatter(machine, pattern, values).run();
}

Value format_braces(Machine& machine, std::string_view pattern, const Arguments& arguments) {
  std::string out;
  size_t automatic = 0;
  for (size_t at = 0; at < pattern.size();) {
    const size_t brace = std::min(pattern.find_first_of("{}", at), pattern.size());
    out += pattern.substr(at, brace - at);
    at = brace;
    machine.spend(1);
    machine.budget().check_room(out.size());
    if (at == pattern.size()) break;
    if (at + 1 < pattern.size() && pattern[at + 1] == pattern[at]) {
      out += pattern[at];
      at += 2;
      continue;
    }
    const size_t end = pattern[at] == '{' ? pattern.find('}', at) : pattern.npos;
    if (end == pattern.npos) throw Fault{"a brace of the format stands alone"};
    std::string_view field = pattern.substr(at + 1, end - at - 1), spec;
    if (const size_t colon = field.find(':'); colon != field.npos) {
      spec = field.substr(colon + 1);
      field = field.substr(0, colon);
    }
    char conversion = '\0';
    if (const size_t mark = field.find('!'); mark != field.npos) {
      if (field.size() != mark + 2) throw Fault{"a conversion of the format is malformed"};
      conversion = field[mark + 1];
      field = field.substr(0, mark);
    }
    if (spec.find('{') != spec.npos) throw Fault{"fields inside of format specifications are not supported"};
    Value value = field_value(machine, field, arguments, automatic);
    if (conversion == 's') {
      value = machine.text(to_text(machine, value));
    } else if (conversion == 'r') {
      value = machine.text(repr(machine, value));
    } else if (conversion != '\0') {
      throw Fault{std::string("the conversion '!") + conversion + "' is not known"};
    }
    out += by_spec(machine, value, spec);
    at = end + 1;
  }
  return machine.text(std::move(out));
}

}  // namespace weft::jinja

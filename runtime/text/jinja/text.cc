#include "runtime/text/jinja/text.h"

#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "runtime/text/jinja/budget.h"

namespace weft::jinja {

namespace {

utf8proc_category_t category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }
char32_t upper(char32_t c) { return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))); }
char32_t lower(char32_t c) { return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))); }
char32_t title(char32_t c) { return static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))); }

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

// The byte at which the character before byte `at` begins.
size_t character_before(std::string_view text, size_t at) {
  do --at;
  while (at > 0 && is_continuation(text[at]));
  return at;
}

std::string without_underscores(std::string_view text, bool& valid) {
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      digits += text[i];
    } else if (i == 0 || i + 1 == text.size() || !std::isxdigit(static_cast<unsigned char>(text[i - 1])) ||
               !std::isxdigit(static_cast<unsigned char>(text[i + 1]))) {
      valid = false;  // an underscore stands between digits
    }
  }
  return digits;
}

}  // namespace

char32_t next_character(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<char32_t>(static_cast<unsigned char>(text[i])) : char32_t{0};
  };
  const char32_t first = byte(at);
  const size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  char32_t character = length == 1 ? first : first & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) character = character << 6 | (byte(at + i) & 0x3Fu);
  at = std::min(at + length, text.size());
  return character;
}

void append_character(std::string& text, char32_t c) {
  utf8proc_uint8_t bytes[4];
  const auto count = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes);
  text.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(count));
}

size_t character_count(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); }));
}

size_t character_offset(std::string_view text, size_t index) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if (!is_continuation(text[at]) && index-- == 0) break;
  }
  return at;
}

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> all;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    next_character(text, at);
    all.push_back(text.substr(begin, at - begin));
  }
  return all;
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_cased_upper(char32_t c) { return utf8proc_isupper(static_cast<utf8proc_int32_t>(c)); }
bool is_cased_lower(char32_t c) { return utf8proc_islower(static_cast<utf8proc_int32_t>(c)); }

bool is_alphabetic(char32_t c) {
  const utf8proc_category_t kind = category(c);
  return kind == UTF8PROC_CATEGORY_LU || kind == UTF8PROC_CATEGORY_LL || kind == UTF8PROC_CATEGORY_LT ||
         kind == UTF8PROC_CATEGORY_LM || kind == UTF8PROC_CATEGORY_LO;
}

bool is_digit(char32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }

bool is_printable(char32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return false;
    case UTF8PROC_CATEGORY_ZS: return c == U' ';
    default: return true;
  }
}

bool is_all_in_case(std::string_view text, bool upper) {
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_character(text, at);
    if (upper ? is_cased_lower(c) : is_cased_upper(c)) return false;
    if (category(c) == UTF8PROC_CATEGORY_LT) return false;
    any = any || is_cased_upper(c) || is_cased_lower(c);
  }
  return any;
}

std::string change_case(std::string_view text, Case to) {
  std::string changed;
  changed.reserve(text.size());
  bool in_word = false;  // after a cased letter: where title() continues in lower case
  for (size_t at = 0; at < text.size();) {
    const bool first = at == 0;
    const char32_t c = next_character(text, at);
    char32_t to_write = c;
    switch (to) {
      case Case::upper: to_write = upper(c); break;
      case Case::lower: to_write = lower(c); break;
      case Case::capitalize: to_write = first ? title(c) : lower(c); break;
      case Case::title: to_write = in_word ? lower(c) : title(c); break;
      case Case::swap: to_write = is_cased_upper(c) ? lower(c) : upper(c); break;
    }
    in_word = is_cased_upper(c) || is_cased_lower(c) || category(c) == UTF8PROC_CATEGORY_LT;
    append_character(changed, to_write);
  }
  return changed;
}

std::string_view strip(std::string_view text, bool left, bool right, std::optional<std::string_view> set) {
  const auto strips = [&](std::string_view character) {
    if (set) {
      // Finds whole characters only: UTF-8 never matches inside another character.
      return set->find(character) != std::string_view::npos;
    }
    size_t at = 0;
    return is_space(next_character(character, at));
  };
  while (left && !text.empty()) {
    size_t end = 0;
    next_character(text, end);
    if (!strips(text.substr(0, end))) break;
    text.remove_prefix(end);
  }
  while (right && !text.empty()) {
    const size_t begin = character_before(text, text.size());
    if (!strips(text.substr(begin))) break;
    text.remove_suffix(text.size() - begin);
  }
  return text;
}

std::vector<std::string_view> split(std::string_view text, std::optional<std::string_view> separator, int64_t limit,
                                    bool from_right) {
  std::vector<std::string_view> parts;
  const auto may_split = [&] { return limit < 0 || static_cast<int64_t>(parts.size()) < limit; };
  if (separator) {
    while (may_split()) {
      const size_t at = from_right ? text.rfind(*separator) : text.find(*separator);
      if (at == text.npos) break;
      const std::string_view before = text.substr(0, at), after = text.substr(at + separator->size());
      parts.push_back(from_right ? after : before);
      text = from_right ? before : after;
    }
    parts.push_back(text);
  } else {
    while (true) {
      text = strip(text, !from_right, from_right);
      if (text.empty()) break;
      if (!may_split()) {
        parts.push_back(text);  // with the white space at its other end
        break;
      }
      size_t begin = from_right ? text.size() : 0, end = begin;  // of the word
      if (from_right) {
        while (begin > 0) {
          size_t at = character_before(text, begin);
          const size_t character = at;
          if (is_space(next_character(text, at))) break;
          begin = character;
        }
      } else {
        while (end < text.size()) {
          size_t at = end;
          if (is_space(next_character(text, at))) break;
          end = at;
        }
      }
      parts.push_back(text.substr(begin, end - begin));
      text = from_right ? text.substr(0, begin) : text.substr(end);
    }
  }
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  for (size_t begin = 0, at = 0; at < text.size();) {
    const size_t end = at;
    const char32_t c = next_character(text, at);
    const bool breaks = (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
    if (breaks) {
      if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
      lines.push_back(text.substr(begin, (keep_ends ? at : end) - begin));
      begin = at;
    } else if (at == text.size()) {
      lines.push_back(text.substr(begin));
    }
  }
  return lines;
}

std::string quoted(std::string_view text) {
  const bool doubles = text.find('\'') != text.npos && text.find('"') == text.npos;
  const char quote = doubles ? '"' : '\'';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_character(text, at);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\\' || c == static_cast<char32_t>(quote)) {
      out += '\\';
      out += static_cast<char>(c);
    } else if (is_printable(c)) {
      out += text.substr(begin, at - begin);
    } else {
      char escape[12];
      const char* pattern = c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
      std::snprintf(escape, sizeof escape, pattern, static_cast<unsigned>(c));
      out += escape;
    }
  }
  return out + quote;
}

std::string real_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string_view shortest(buffer, static_cast<size_t>(end - buffer));
  const bool negative = shortest[0] == '-';
  if (negative) shortest.remove_prefix(1);
  const size_t e = shortest.find('e');
  int exponent = 0;
  std::from_chars(shortest.data() + e + 1 + (shortest[e + 1] == '+' ? 1 : 0), shortest.data() + shortest.size(),
                  exponent);
  std::string digits(1, shortest[0]);
  if (e > 2) digits += shortest.substr(2, e - 2);
  const int count = static_cast<int>(digits.size());
  std::string out = negative ? "-" : "";
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (count > 1) out += "." + digits.substr(1);
    const std::string power = std::to_string(std::abs(exponent));
    return out + "e" + (exponent < 0 ? '-' : '+') + (power.size() < 2 ? "0" : "") + power;
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1) return out + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  const auto whole = static_cast<size_t>(exponent) + 1;
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::optional<int64_t> parse_integer(std::string_view text, int base) {
  text = strip(text, true, true);
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  const auto prefix = [&](char letter) {
    return text.size() > 2 && text[0] == '0' && (text[1] == letter || text[1] == letter - 32);
  };
  for (const auto& [letter, of] : {std::pair{'x', 16}, std::pair{'o', 8}, std::pair{'b', 2}}) {
    if (!prefix(letter) || (base != of && base != 0)) continue;
    text.remove_prefix(text.size() > 3 && text[2] == '_' ? 3 : 2);
    base = of;
    break;
  }
  bool valid = base == 0 || (base >= 2 && base <= 36);
  const std::string digits = without_underscores(text, valid);
  if (!valid || digits.empty() || digits[0] == '-') return std::nullopt;
  if (base == 0 && digits.size() > 1 && digits[0] == '0' && digits.find_first_not_of('0') != digits.npos) {
    return std::nullopt;
  }
  const std::string signed_digits = (negative ? "-" : "") + digits;
  int64_t value = 0;
  const char* end = signed_digits.data() + signed_digits.size();
  const auto [stop, error] = std::from_chars(signed_digits.data(), end, value, base == 0 ? 10 : base);
  if (stop != end) return std::nullopt;
  if (error == std::errc::result_out_of_range) throw Fault{"an integer does not fit into 64 bits"};
  return value;
}

std::optional<double> parse_real(std::string_view text) {
  text = strip(text, true, true);
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  bool valid = true;
  const std::string digits = without_underscores(text, valid);
  if (!valid || digits.empty() || digits[0] == '-') return std::nullopt;
  double value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  if (stop != end || digits.find('(') != digits.npos) return std::nullopt;
  if (error == std::errc::result_out_of_range) {
    // Too large or too small: from_chars does not say which, but the sign of the exponent does.
    const size_t e = digits.find_first_of("eE");
    value = e != digits.npos && digits[e + 1] == '-' ? 0.0 : HUGE_VAL;
  }
  return negative ? -value : value;
}

}  // namespace weft::jinja

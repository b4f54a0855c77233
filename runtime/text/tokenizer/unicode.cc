#include "runtime/text/tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "core/utf8.h"
#include "runtime/text/tokenizer/unicode_additions.h"

namespace weft {
namespace {

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

bool is_normalized(char32_t c) {
  const auto ranges = not_normalized();
  const auto after = std::partition_point(ranges.begin(), ranges.end(), [c](auto r) { return r.last < c; });
  return after == ranges.end() || c < after->first;
}

// 0 for a character that marks do not move across.
int combining_class(utf8proc_int32_t c) {
  const int value = utf8proc_get_property(c)->combining_class;
  return value != 0 && is_normalized(static_cast<char32_t>(c)) ? value : 0;
}

// Two letters: "Lu", "Nd".
std::string_view category(char32_t c) {
  const std::string_view known = utf8proc_category_string(static_cast<utf8proc_int32_t>(c));
  if (known != "Cn") return known;
  for (const UnicodeAddition& addition : unicode_additions()) {
    if (addition.first <= c && c <= addition.last) return addition.category;
  }
  return known;
}

}  // namespace

std::string normalize(std::string_view text, NormalForm form) {
  if (is_ascii(text)) return std::string(text);
  const bool compatible = form == NormalForm::nfkc || form == NormalForm::nfkd;
  const auto options =
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0));
  std::vector<utf8proc_int32_t> points;
  points.reserve(text.size());
  while (!text.empty()) {
    const size_t length = first_utf8_sequence(text).length;
    const char32_t c = decode_utf8(text.substr(0, length));
    text.remove_prefix(length);
    utf8proc_int32_t parts[32] = {static_cast<utf8proc_int32_t>(c)};  // a character decomposes into at most 18
    utf8proc_ssize_t count = 1;
    int boundary = 0;
    if (c >= 0x80 && is_normalized(c)) {
      count = utf8proc_decompose_char(parts[0], parts, std::size(parts), options, &boundary);
    }
    points.insert(points.end(), parts, parts + std::clamp<utf8proc_ssize_t>(count, 0, std::size(parts)));
  }

  // Marks in the canonical order. utf8proc's own sort is quadratic in a run of marks.
  for (auto begin = points.begin(); begin != points.end();) {
    if (combining_class(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto end = std::find_if(begin, points.end(), [](auto c) { return combining_class(c) == 0; });
    std::stable_sort(begin, end, [](auto a, auto b) { return combining_class(a) < combining_class(b); });
    begin = end;
  }

  auto size = static_cast<utf8proc_ssize_t>(points.size());
  if (form == NormalForm::nfc || form == NormalForm::nfkc) {
    size = utf8proc_normalize_utf32(points.data(), size,
                                    static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  }
  std::string out;
  out.reserve(static_cast<size_t>(size));
  for (utf8proc_ssize_t i = 0; i < size; ++i) append_utf8(out, static_cast<char32_t>(points[i]));
  return out;
}

std::string lowercase(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = first_utf8_sequence(text).length;
    const char32_t c = decode_utf8(text.substr(0, length));
    if (c == 0x130) {  // the only character whose lower case has two code points
      out += "i\xCC\x87";
    } else {
      append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
    }
    text.remove_prefix(length);
  }
  return out;
}

bool is_white_space(char32_t c) {
  return (c >= 0x9 && c <= 0xD) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_word(char32_t c) {
  const std::string_view kind = category(c);
  if (kind[0] == 'L' || kind[0] == 'M' || kind == "Nd" || kind == "Nl" || kind == "Pc") return true;
  // Other_Alphabetic: circled, squared and negative letters.
  return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
         (c >= 0x1F170 && c <= 0x1F189);
}

bool is_numeric(char32_t c) { return category(c)[0] == 'N'; }

}  // namespace weft

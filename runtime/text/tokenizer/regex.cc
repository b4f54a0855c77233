#include "runtime/text/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <limits>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/text/tokenizer/unicode_additions.h"

namespace weft {
namespace {

// What goes between the brackets of a class. White_Space of Unicode; PCRE2's \s has U+180E as well.
constexpr std::string_view kSpace =
    R"(\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kNoSpace =
    R"(\x{0}-\x{8}\x{e}-\x{1f}!-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e})"
    R"(\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";

// A general category: one capital, or a capital and a small letter.
bool is_category(std::string_view name) {
  constexpr std::string_view kMajor = "LMNPSZC";
  return (name.size() == 1 && kMajor.find(name[0]) != kMajor.npos) ||
         (name.size() == 2 && kMajor.find(name[0]) != kMajor.npos && name[1] >= 'a' && name[1] <= 'z');
}

// The inside of a class with all characters of a category.
std::string category_class(std::string_view name) {
  std::string out = "\\p{" + std::string(name) + "}";
  for (const UnicodeAddition& addition : unicode_additions()) {
    if (!addition.category.starts_with(name)) continue;
    char range[40];
    std::snprintf(range, sizeof range, "\\x{%x}-\\x{%x}", static_cast<unsigned>(addition.first),
                  static_cast<unsigned>(addition.last));
    out += range;
  }
  return out;
}

std::string word_class() {
  return category_class("L") + category_class("M") + category_class("Nd") + category_class("Nl") +
         category_class("Pc") +
         R"(\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})"
         // Oniguruma considers these digits, alone among those of category No.
         R"(\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";
}

// Reads a pattern from left to right and rewrites it.
class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  std::string translate() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        escape();
      } else if (in_class_) {
        class_character(c);
      } else if (c == '[') {
        open_class();
      } else if (c == '(') {
        group();
      } else if (c == '{') {
        counted();
      } else {
        out_ += c;
        ++at_;
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error("pattern " + in_quotes(pattern_) + ": " + what + " at byte " + std::to_string(at_) +
                " is not supported");
  }

  char peek(size_t ahead) const { return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0'; }

  void open_class() {
    in_class_ = true;
    out_ += '[';
    ++at_;
    if (peek(0) == '^') {
      out_ += '^';
      ++at_;
    }
    if (peek(0) == ']') refuse("an empty class");
  }

  void class_character(char c) {
    if (c == '&' && peek(1) == '&') refuse("an intersection of classes");
    if (c == '[') {
      if (peek(1) != ':') refuse("a class in a class");
      const size_t end = pattern_.find(":]", at_ + 2);
      if (end == pattern_.npos) refuse("a class in a class");
      out_ += pattern_.substr(at_, end + 2 - at_);
      at_ = end + 2;
      return;
    }
    if (c == ']') in_class_ = false;
    out_ += c;
    ++at_;
  }

  void group() {
    if (peek(1) == '*') refuse("a verb");
    if (peek(1) == '?' && std::string_view(":=!<>#").find(peek(2)) == std::string_view::npos) {
      size_t i = 2;
      while (peek(i) == 'i' || peek(i) == 'x' || peek(i) == '-') ++i;
      // (?m) is "dot matches newline" in one and something else in the other.
      if (i == 2) refuse("this kind of group");
      // Without a colon, options apply to the following alternatives in one and not in the other.
      if (peek(i) != ':' && !(peek(i) == ')' && at_ == 0)) refuse("an option for the rest of a group");
    }
    out_ += '(';
    ++at_;
  }

  // {n,m}: what may follow it has different meanings in the two.
  void counted() {
    const size_t end = pattern_.find_first_not_of("0123456789,", at_ + 1);
    if (end == pattern_.npos || end == at_ + 1 || pattern_[end] != '}') {
      out_ += "\\{";
      ++at_;
      return;
    }
    if (peek(1) == ',') refuse("'{,n}'");
    const std::string_view count = pattern_.substr(at_, end + 1 - at_);
    out_ += count;
    at_ = end + 1;
    if (peek(0) == '+') refuse("'+' after '{n,m}'");
    if (peek(0) == '?' && count.find(',') == count.npos) refuse("'?' after '{n}'");
  }

  void put_class(const std::string& inside, bool negated) {
    if (in_class_) {
      if (negated) refuse("a negated class in a class");
      out_ += inside;
    } else {
      out_ += (negated ? "[^" : "[") + inside + "]";
    }
  }

  void escape() {
    const char c = peek(1);
    const size_t length = std::min<size_t>(2, pattern_.size() - at_);
    switch (c) {
      case 's': put_class(std::string(kSpace), false); break;
      case 'S': put_class(std::string(in_class_ ? kNoSpace : kSpace), !in_class_); break;
      case 'd': put_class(category_class("Nd"), false); break;
      case 'D': put_class(category_class("Nd"), true); break;
      case 'w': put_class(word_class(), false); break;
      case 'W': put_class(word_class(), true); break;
      case 'b':
      case 'B': boundary(c == 'b'); break;
      case 'p':
      case 'P': property(c == 'P'); return;
      // Oniguruma's hexadecimal digits, its extended operators, and PCRE2's own.
      case 'h':
      case 'H':
      case 'y':
      case 'Y':
      case 'N':
      case 'O':
      case 'K':
      case 'G':
      case 'g':
      case 'k':
      case 'C':
      case 'Q':
      case 'E':
      case 'M':
      case 'c':
      case 'o':
      case 'X':
      case 'R': refuse("'\\" + std::string(1, c) + "'");
      case '\0': refuse("a backslash");
      default: out_ += pattern_.substr(at_, length);
    }
    at_ += length;
  }

  void boundary(bool at_boundary) {
    if (in_class_) refuse("'\\b' in a class");
    const std::string word = "[" + word_class() + "]";
    const std::string before = "(?<=" + word + ")", not_before = "(?<!" + word + ")";
    const std::string after = "(?=" + word + ")", not_after = "(?!" + word + ")";
    out_ += at_boundary ? "(?:" + before + not_after + "|" + not_before + after + ")"
                        : "(?:" + before + after + "|" + not_before + not_after + ")";
  }

  // \p{L}, \p{^L}, \P{L}, \pL
  void property(bool negated) {
    size_t begin = at_ + 2, end = at_ + 3, next = end;
    if (peek(2) == '{') {
      begin = at_ + 3;
      end = pattern_.find('}', begin);
      if (end == pattern_.npos) refuse("'\\p{'");
      next = end + 1;
    }
    if (begin >= pattern_.size()) refuse("'\\p'");
    std::string_view name = pattern_.substr(begin, end - begin);
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    if (is_category(name) && !(in_class_ && negated)) {
      put_class(category_class(name), negated);
    } else {
      out_ += (negated ? "\\P{" : "\\p{") + std::string(name) + "}";
    }
    at_ = next;
  }

  std::string_view pattern_;
  size_t at_ = 0;
  bool in_class_ = false;
  std::string out_;
};

struct Freed {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
  void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
};

std::string message(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

PCRE2_SPTR bytes(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

constexpr size_t kMaxPattern = 64 << 10;
// Steps of backtracking that one match may take, and how many more all matches in a text may take together: a run
// of spaces is backtracked over. Without the total, a pattern could reach its limit at every byte.
constexpr uint32_t kStepsOfMatch = 1000;
constexpr uint64_t kSteps = 1'000'000, kStepsPerByte = 64;
constexpr uint32_t kHeapKib = 256 << 10;

}  // namespace

std::string pcre2_pattern(std::string_view pattern) { return Translator(pattern).translate(); }

Regex::Regex(std::string_view pattern) : pattern_(pattern) {
  if (pattern.size() > kMaxPattern)
    throw Error("a pattern of " + std::to_string(pattern.size()) + " bytes is too long");
  if (!is_utf8(pattern)) throw Error("pattern " + in_quotes(pattern) + " is not UTF-8");
  const std::string translated = pcre2_pattern(pattern);
  const std::unique_ptr<pcre2_compile_context, Freed> context(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  // In Ruby's syntax ^ and $ always mean lines.
  pcre2_code* code = pcre2_compile(bytes(translated), translated.size(), PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE,
                                   &error, &offset, context.get());
  if (code == nullptr) throw Error("pattern " + in_quotes(pattern) + ": " + message(error));
  code_ = std::shared_ptr<const void>(code, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); });
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // if this fails, matching interprets
}

std::vector<Regex::Match> Regex::find_all(std::string_view text) const {
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const std::unique_ptr<pcre2_match_data, Freed> data(pcre2_match_data_create(1, nullptr));
  const std::unique_ptr<pcre2_match_context, Freed> context(pcre2_match_context_create(nullptr));
  uint64_t steps_left = kSteps + kStepsPerByte * text.size();
  pcre2_set_heap_limit(context.get(), kHeapKib);

  std::vector<Match> matches;
  size_t last_end = std::string_view::npos;
  for (size_t at = 0; at <= text.size();) {
    const auto match = [&](uint32_t options) {
      return pcre2_match(code, bytes(text), text.size(), at, PCRE2_NO_UTF_CHECK | options, data.get(), context.get());
    };
    int result = 0;
    for (uint32_t limit = kStepsOfMatch;; limit *= 2) {
      pcre2_set_match_limit(context.get(), limit);
      result = match(0);
      if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = match(PCRE2_NO_JIT);
      if (result != PCRE2_ERROR_MATCHLIMIT || limit > steps_left || limit > std::numeric_limits<uint32_t>::max() / 2) {
        break;
      }
      steps_left -= limit;
    }
    if (result == PCRE2_ERROR_NOMATCH) break;
    if (result < 0) throw Error("pattern " + in_quotes(pattern_) + ": " + message(result));
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(data.get());
    const size_t begin = range[0], end = range[1];
    if (begin == end && end == last_end) {
      at = end < text.size() ? end + first_utf8_sequence(text.substr(end)).length : end + 1;
      continue;
    }
    matches.push_back({begin, end});
    at = last_end = end;
  }
  return matches;
}

}  // namespace weft

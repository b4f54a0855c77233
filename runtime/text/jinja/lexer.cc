#include "runtime/text/jinja/lexer.h"

#include <algorithm>
#include <array>

#include "runtime/text/jinja/text.h"

namespace weft::jinja {

namespace {

bool is_decimal(char c) { return c >= '0' && c <= '9'; }
bool begins_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}

int hex_digit(char c) {
  if (is_decimal(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) lex_data();
    add(TokenType::end, at_, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(size_t at, std::string message) const {
    throw SyntaxFault{static_cast<uint32_t>(at), std::move(message)};
  }
  void add(TokenType type, size_t at, std::string text) {
    tokens_.push_back({type, static_cast<uint32_t>(at), std::move(text)});
  }
  bool looking_at(std::string_view text) const { return source_.substr(at_).starts_with(text); }
  bool skip(std::string_view text) {
    if (!looking_at(text)) return false;
    at_ += text.size();
    return true;
  }
  void skip_space() {
    while (at_ < source_.size()) {
      size_t next = at_;
      if (!is_space(next_character(source_, next))) break;
      at_ = next;
    }
  }
  char sign() {  // of white space control, after the "{%"
    const char c = at_ < source_.size() ? source_[at_] : '\0';
    if (c != '-' && c != '+') return '\0';
    ++at_;
    return c;
  }

  // The text before a tag: "-" drops the white space at its end; otherwise, spaces between a newline (or the start
  // of the text) and a tag other than {{ }} are dropped.
  void add_data(size_t begin, size_t end, char sign, bool is_output) {
    std::string_view text = source_.substr(begin, end - begin);
    if (sign == '-') {
      text = strip(text, false, true);
    } else if (sign != '+' && !is_output) {
      const size_t newline = text.rfind('\n');
      const size_t line = newline == text.npos ? 0 : newline + 1;
      if ((line > 0 || line_starts_) && strip(text.substr(line), true, false).empty()) text = text.substr(0, line);
    }
    if (!text.empty()) add(TokenType::data, begin, std::string(text));
  }

  // After the end of a tag or of a text.
  void note_line_start() { line_starts_ = at_ > 0 && source_[at_ - 1] == '\n'; }

  // "-%}" and all white space after it, "+%}", or "%}" and one newline after it. False if none of them is here.
  bool skip_block_end(std::string_view end) {
    const size_t begin = at_;
    if (skip("-")) {
      if (skip(end)) {
        skip_space();
        return true;
      }
      at_ = begin;
    } else if (skip("+")) {
      if (skip(end)) return true;
      at_ = begin;
    } else if (skip(end)) {
      skip("\n");
      return true;
    }
    return false;
  }

  // After "{%" and its sign: "raw %}" and its text, up to the "{% endraw %}".
  bool lex_raw(size_t tag, size_t text_begin, char tag_sign) {
    const size_t begin = at_;
    skip_space();
    const bool is_raw = skip("raw");
    if (is_raw) skip_space();
    const bool strips = is_raw && looking_at("-%}");
    if (!is_raw || !(skip("-%}") || skip("%}"))) {
      at_ = begin;
      return false;
    }
    if (strips) skip_space();
    add_data(text_begin, tag, tag_sign, false);
    note_line_start();
    const size_t raw = at_;
    for (size_t end = source_.find("{%", at_); end != source_.npos; end = source_.find("{%", end + 1)) {
      at_ = end + 2;
      const char end_sign = sign();
      skip_space();
      if (!skip("endraw")) continue;
      skip_space();
      if (!skip_block_end("%}")) continue;
      add_data(raw, end, end_sign, false);
      note_line_start();
      return true;
    }
    fail(tag, "the end of the raw block is missing");
  }

  void lex_data() {
    const size_t begin = at_;
    size_t tag = begin;
    for (;; ++tag) {
      tag = source_.find('{', tag);
      if (tag == source_.npos || tag + 1 == source_.size()) {
        at_ = source_.size();
        add(TokenType::data, begin, std::string(source_.substr(begin)));
        return;
      }
      if (source_[tag + 1] == '%' || source_[tag + 1] == '{' || source_[tag + 1] == '#') break;
    }
    const char kind = source_[tag + 1];
    at_ = tag + 2;
    const char tag_sign = sign();
    if (kind == '%' && lex_raw(tag, begin, tag_sign)) return;
    add_data(begin, tag, tag_sign, kind == '{');
    if (kind == '#') {
      lex_comment(tag);
    } else {
      lex_tag(tag, kind == '{');
    }
    note_line_start();
  }

  void lex_comment(size_t tag) {
    for (; at_ < source_.size(); ++at_) {
      if (skip_block_end("#}")) return;
    }
    fail(tag, "the end of the comment is missing");
  }

  void lex_tag(size_t tag, bool is_output) {
    add(is_output ? TokenType::output_begin : TokenType::block_begin, tag, is_output ? "{{" : "{%");
    std::vector<char> open;  // closing brackets that are expected
    while (true) {
      if (open.empty()) {
        const size_t end = at_;
        if (is_output ? skip_output_end() : skip_block_end("%}")) {
          add(is_output ? TokenType::output_end : TokenType::block_end, end, is_output ? "}}" : "%}");
          return;
        }
      }
      skip_space();
      if (at_ == source_.size()) fail(tag, std::string("the end of this ") + (is_output ? "{{" : "{%") + " is missing");
      if (open.empty() && at_end(is_output)) continue;
      lex_token(open);
    }
  }

  bool at_end(bool is_output) const {
    const std::string_view rest = source_.substr(at_);
    if (is_output) return rest.starts_with("}}") || rest.starts_with("-}}");
    return rest.starts_with("%}") || rest.starts_with("-%}") || rest.starts_with("+%}");
  }

  bool skip_output_end() {
    if (skip("}}")) return true;
    if (!skip("-}}")) return false;
    skip_space();
    return true;
  }

  void lex_token(std::vector<char>& open) {
    const size_t begin = at_;
    const char c = source_[at_];
    if (is_decimal(c)) return lex_number();
    if (begins_name(c)) {
      while (at_ < source_.size() && (begins_name(source_[at_]) || is_decimal(source_[at_]))) ++at_;
      return add(TokenType::name, begin, std::string(source_.substr(begin, at_ - begin)));
    }
    if (c == '"' || c == '\'') return lex_string();
    constexpr std::array<std::string_view, 27> kSymbols = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                           "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                           ">",  "<",  "=",  ".",  ":",  "|",  ",", ";", ""};
    const auto found =
        std::find_if(kSymbols.begin(), kSymbols.end(), [&](std::string_view s) { return looking_at(s); });
    if (found->empty()) fail(begin, "unexpected character");
    if (*found == "(" || *found == "[" || *found == "{") {
      open.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    } else if (*found == ")" || *found == "]" || *found == "}") {
      if (open.empty()) fail(begin, "unexpected '" + std::string(*found) + "'");
      if (open.back() != c) {
        fail(begin, "unexpected '" + std::string(*found) + "', expected '" + std::string(1, open.back()) + "'");
      }
      open.pop_back();
    }
    at_ += found->size();
    add(TokenType::symbol, begin, std::string(*found));
  }

  // Digits of one kind, with underscores between them.
  template <class IsDigit>
  void skip_digits(IsDigit is_one) {
    while (at_ < source_.size()) {
      if (is_one(source_[at_])) {
        ++at_;
      } else if (source_[at_] == '_' && at_ + 1 < source_.size() && is_one(source_[at_ + 1])) {
        at_ += 2;
      } else {
        break;
      }
    }
  }

  void lex_number() {
    const size_t begin = at_;
    const auto next = [&](size_t offset) { return at_ + offset < source_.size() ? source_[at_ + offset] : '\0'; };
    if (begin == 0 || source_[begin - 1] != '.') {
      skip_digits(is_decimal);
      bool is_real = false;
      if (next(0) == '.' && is_decimal(next(1))) {
        ++at_;
        skip_digits(is_decimal);
        is_real = true;
      }
      if (next(0) == 'e' || next(0) == 'E') {
        const size_t digits = next(1) == '+' || next(1) == '-' ? 2 : 1;
        if (is_decimal(next(digits))) {
          at_ += digits;
          skip_digits(is_decimal);
          is_real = true;
        }
      }
      if (is_real) return add_number(TokenType::real, begin);
      at_ = begin;
    }
    const char letter = static_cast<char>(next(1) | 0x20);
    const auto with_prefix = [&](auto is_one) {
      const size_t digits = next(2) == '_' ? 3 : 2;
      if (!is_one(next(digits))) return false;
      at_ += digits;
      skip_digits(is_one);
      return true;
    };
    if (source_[begin] == '0') {
      if (letter == 'b' && with_prefix([](char c) { return c == '0' || c == '1'; })) {
      } else if (letter == 'o' && with_prefix([](char c) { return c >= '0' && c <= '7'; })) {
      } else if (letter == 'x' && with_prefix([](char c) { return hex_digit(c) >= 0; })) {
      } else {
        skip_digits([](char c) { return c == '0'; });
      }
    } else {
      skip_digits(is_decimal);
    }
    add_number(TokenType::integer, begin);
  }

  void add_number(TokenType type, size_t begin) {
    std::string digits(source_.substr(begin, at_ - begin));
    std::erase(digits, '_');
    add(type, begin, std::move(digits));
  }

  // A character given by number: \x41, \u00e9, \U0001f600, \101.
  void append_escaped(std::string& text, size_t begin, uint32_t character) const {
    if (character > 0x10FFFF || (character >= 0xD800 && character < 0xE000)) fail(begin, "there is no such character");
    append_character(text, static_cast<char32_t>(character));
  }

  void lex_string() {
    const size_t begin = at_;
    const char quote = source_[at_++];
    std::string text;
    while (true) {
      if (at_ == source_.size()) fail(begin, "the end of the string is missing");
      const char c = source_[at_++];
      if (c == quote) break;
      if (c != '\\') {
        text += c;
        continue;
      }
      if (at_ == source_.size()) fail(begin, "the end of the string is missing");
      lex_escape(text);
    }
    add(TokenType::string, begin, std::move(text));
  }

  void lex_escape(std::string& text) {
    const size_t begin = at_ - 1;
    const char c = source_[at_++];
    constexpr std::string_view kPlain = "abfnrtv\\'\"", kMeaning = "\a\b\f\n\r\t\v\\'\"";
    if (const size_t plain = kPlain.find(c); plain != kPlain.npos) {
      text += kMeaning[plain];
    } else if (c == '\n') {  // a line continuation
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const size_t count = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      uint32_t character = 0;
      for (size_t i = 0; i < count; ++i, ++at_) {
        const int digit = at_ < source_.size() ? hex_digit(source_[at_]) : -1;
        if (digit < 0) fail(begin, std::string("\\") + c + " wants " + std::to_string(count) + " hexadecimal digits");
        character = (character << 4) | static_cast<uint32_t>(digit);
      }
      append_escaped(text, begin, character);
    } else if (c >= '0' && c <= '7') {
      uint32_t character = static_cast<uint32_t>(c - '0');
      for (int i = 0; i < 2 && at_ < source_.size() && source_[at_] >= '0' && source_[at_] <= '7'; ++i) {
        character = character * 8 + static_cast<uint32_t>(source_[at_++] - '0');
      }
      append_escaped(text, begin, character);
    } else if (c == 'N') {
      fail(begin, "\\N is not known: write the character or \\u");
    } else {  // Python leaves it as it is
      text += '\\';
      text += c;
    }
  }

  std::string_view source_;
  size_t at_ = 0;
  bool line_starts_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::string normalize_newlines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      text += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      text += source[i];
    }
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace weft::jinja

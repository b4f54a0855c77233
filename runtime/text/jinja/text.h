// Text with the semantics of Python's str: characters are code points, white space and case are Unicode's. All
// strings are UTF-8. Case mapping is one code point to one (so the upper case of U+00DF is itself, where Python
// makes two letters of it).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weft::jinja {

// The code point at byte `at` of well-formed UTF-8; moves `at` past it.
char32_t next_character(std::string_view text, size_t& at);
void append_character(std::string& text, char32_t character);

size_t character_count(std::string_view text);
// The byte at which character `index` begins; text.size() for the first index past the end.
size_t character_offset(std::string_view text, size_t index);
// One view per character.
std::vector<std::string_view> characters(std::string_view text);

bool is_space(char32_t character);  // str.isspace
bool is_cased_upper(char32_t character);
bool is_cased_lower(char32_t character);
bool is_alphabetic(char32_t character);
bool is_digit(char32_t character);
bool is_printable(char32_t character);
// str.isupper and str.islower: whether it has cased letters, and all of them are in that case.
bool is_all_in_case(std::string_view text, bool upper);

enum class Case : uint8_t { upper, lower, capitalize, title, swap };
std::string change_case(std::string_view text, Case to);

// Strips the characters of `set` (white space if absent) from both ends.
std::string_view strip(std::string_view text, bool left, bool right, std::optional<std::string_view> set = {});

// str.split and str.rsplit: at white space if there is no separator; `limit` < 0: no limit. The separator is not empty.
std::vector<std::string_view> split(std::string_view text, std::optional<std::string_view> separator, int64_t limit,
                                    bool from_right);
// str.splitlines.
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

// As Python's repr writes them.
std::string quoted(std::string_view text);
std::string real_text(double value);

// int(text, base), float(text); nothing where Python raises ValueError. Throws Fault beyond 64 bits.
std::optional<int64_t> parse_integer(std::string_view text, int base);
std::optional<double> parse_real(std::string_view text);

}  // namespace weft::jinja

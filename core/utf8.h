// UTF-8 as Unicode defines it (table 3-7, "Well-Formed UTF-8 Byte Sequences").
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace weft {

enum class Utf8Kind {
  complete,    // a well-formed sequence
  incomplete,  // the text ends inside a sequence that more bytes could still complete
  invalid,     // no continuation makes it well-formed
};

struct Utf8Sequence {
  Utf8Kind kind;
  size_t length;  // bytes it takes; for an invalid one its maximal subpart, which one U+FFFD stands for
};

// The sequence at the start of `text`, which is not empty.
Utf8Sequence first_utf8_sequence(std::string_view text);

bool is_utf8(std::string_view text);

// The character that a complete sequence encodes.
char32_t decode_utf8(std::string_view sequence);
void append_utf8(std::string& text, char32_t c);  // c is a character, not a surrogate

// The text with U+FFFD for each maximal subpart that is not UTF-8.
std::string make_utf8(std::string_view text);

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

// Text from a file, for a message: in single quotes; control characters, quotes, backslashes and bytes that are
// not UTF-8 as \xNN; cut with "..." after about `limit` bytes.
std::string in_quotes(std::string_view text, size_t limit = 80);

}  // namespace weft

// The alphabet of byte-level vocabularies: a printable character for every byte, as GPT-2 introduced it
// (https://github.com/openai/gpt-2, encoder.py). Bytes that are printable in Latin-1 stand for themselves, the others
// take U+0100 onwards in their order: a space is U+0120.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weft {

// "the" with a space before it -> U+0120 "the".
std::string to_byte_alphabet(std::string_view bytes);

// The other way; nothing if a character of the text, which is UTF-8, is not of the alphabet.
std::optional<std::string> from_byte_alphabet(std::string_view text);

}  // namespace weft

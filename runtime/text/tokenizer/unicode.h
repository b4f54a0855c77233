// Unicode normalization and the few character properties that tokenizers need.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weft {

enum class NormalForm : uint8_t { nfc, nfd, nfkc, nfkd };

// The text, which is UTF-8, in that form (Unicode Standard Annex 15; not_normalized() stays as it is).
// Time n log n, whatever the combining marks.
std::string normalize(std::string_view text, NormalForm form);

// Lower-cases each character of the text, which is UTF-8, on its own (no context: a final sigma stays a sigma;
// letters newer than Unicode 15 keep their case).
std::string lowercase(std::string_view text);

bool is_white_space(char32_t c);  // property White_Space
bool is_word(char32_t c);         // Alphabetic, marks, decimal digits, connector punctuation
bool is_numeric(char32_t c);      // general categories Nd, Nl and No

}  // namespace weft

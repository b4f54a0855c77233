// Characters that Unicode 15 and later versions assigned: the libraries of Debian 12 (PCRE2: Unicode 14, utf8proc:
// 15) do not know them yet, and the tokenizers that models were made with do.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace weft {

struct UnicodeAddition {
  char32_t first, last;
  std::string_view category;  // the general category: two letters
};

// In the order of characters.
std::span<const UnicodeAddition> unicode_additions();

}  // namespace weft

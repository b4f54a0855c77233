// Where the tokenizers that models were made with use a different Unicode version from the libraries of Debian 12
// (PCRE2: Unicode 14, utf8proc: 15). Their patterns know characters of later versions; their normalizers stopped
// at an earlier one, and ids must match theirs.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace weft {

struct UnicodeAddition {
  char32_t first, last;
  std::string_view category;  // the general category: two letters
};

struct CharacterRange {
  char32_t first, last;
};

// Characters that Unicode 15 and later versions assigned, in order.
std::span<const UnicodeAddition> unicode_additions();

// Characters that normalization leaves unchanged and in place, in order.
std::span<const CharacterRange> not_normalized();

}  // namespace weft

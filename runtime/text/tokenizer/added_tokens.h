// Tokens that are matched whole before a text is cut into words, as Hugging Face tokenizers define them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/tokenizer/normalizer.h"
#include "runtime/text/tokenizer/special_text.h"

namespace weft {

struct AddedToken {
  std::string text;  // not empty, at most kMaxAddedToken bytes
  int32_t id = 0;
  bool special = false;      // matched only where the caller reads special tokens in the text
  bool normalized = false;   // matched in normalized text, in normalized form
  bool single_word = false;  // not directly before or after a word character
  bool lstrip = false;       // consumes white space before it
  bool rstrip = false;       // and after it
};

inline constexpr size_t kMaxAddedToken = 1024;

class AddedTokens {
 public:
  AddedTokens() = default;
  // Of tokens with the same id, the last one counts.
  AddedTokens(std::vector<AddedToken> tokens, const std::vector<Normalizer>& normalizers);

  // Cuts text, which is UTF-8, at the tokens to be found before (`normalized` false) or after normalization. The
  // leftmost match wins, then the longest. A special token without `parse_special` is text, yet hides what overlaps
  // it. Fragments of text are not empty. Time linear in the text, times the longest token.
  std::vector<TextFragment> split(std::string_view text, bool normalized, bool parse_special) const;

 private:
  const AddedToken& token(int32_t id) const;

  std::vector<AddedToken> tokens_;  // in the order of ids
  SpecialText before_, after_;      // normalization
};

}  // namespace weft

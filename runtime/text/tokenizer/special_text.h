// Finding special tokens in text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

struct TextFragment {
  std::string_view text;
  int32_t id;  // of the special token that `text` is, or -1 for text between special tokens
};

// A set of token texts that are matched whole, before any other tokenization.
class SpecialText {
 public:
  struct Token {
    std::string text;  // not empty
    int32_t id;
  };

  SpecialText() = default;
  // Where two tokens have the same text, the larger id counts.
  explicit SpecialText(std::vector<Token> tokens);

  bool empty() const { return tokens_.empty(); }

  // The longest token that the text has at `begin`; null if there is none.
  const Token* longest_at(std::string_view text, size_t begin) const;

  // Cuts `text` at the special tokens in it. Where occurrences overlap the longest wins, then the smaller id,
  // then the leftmost. No fragment is empty; together they are `text`.
  std::vector<TextFragment> split(std::string_view text) const;

 private:
  struct Match {
    size_t begin;
    uint32_t token;
  };

  // Calls found(index into tokens_) for every token that the text has at `begin`, shorter ones first; defined and
  // used in special_text.cc only.
  template <class Found>
  void find_at(std::string_view text, size_t begin, Found found) const;

  std::vector<Token> tokens_;               // sorted by text, unique
  std::array<uint32_t, 257> by_lead_ = {};  // tokens whose first byte is b: [by_lead_[b], by_lead_[b + 1])
};

}  // namespace weft

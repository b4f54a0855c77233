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
  // Where two tokens have the same text the larger id counts.
  explicit SpecialText(std::vector<Token> tokens);

  // Cuts `text` at the special tokens in it. Where occurrences overlap the longest wins, then the smaller id,
  // then the leftmost. No fragment is empty; together they are `text`.
  std::vector<TextFragment> split(std::string_view text) const;

 private:
  struct Match {
    size_t begin;
    uint32_t token;
  };

  void find_at(std::string_view text, size_t begin, std::vector<Match>& matches) const;

  std::vector<Token> tokens_;               // sorted by text, unique
  std::array<uint32_t, 257> by_lead_ = {};  // tokens whose first byte is b: [by_lead_[b], by_lead_[b + 1])
};

}  // namespace weft

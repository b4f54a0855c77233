// Properties of every tokenizer, whatever file it came from.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/text/tokenizer/tokenizer.h"

namespace weft::fuzz {

inline void require(bool condition) {
  if (!condition) std::abort();
}

// Decoding at once and piece by piece is the same, and UTF-8.
inline void check_decode(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  for (const bool at_start : {true, false}) {
    StreamDecoder decoder(tokenizer, at_start);
    std::string pieces;
    for (const int32_t id : ids) {
      const std::string piece = decoder.push(id);
      require(is_utf8(piece));
      pieces += piece;
    }
    pieces += decoder.flush();
    require(pieces == tokenizer.decode(ids, at_start));
  }
}

// Ids are tokens of the vocabulary. Gives them without BOS and EOS.
inline std::vector<int32_t> check_encode(const Tokenizer& tokenizer, std::string_view text, bool parse_special) {
  const auto is_token = [&](int32_t id) { return id >= 0 && static_cast<size_t>(id) < tokenizer.vocab_size(); };
  const std::vector<int32_t> ids = tokenizer.encode(text, false, parse_special);
  require(std::all_of(ids.begin(), ids.end(), is_token));
  const std::vector<int32_t> all = tokenizer.encode(text, true, parse_special);
  require(std::all_of(all.begin(), all.end(), is_token));
  require(std::search(all.begin(), all.end(), ids.begin(), ids.end()) != all.end() || ids.empty());
  check_decode(tokenizer, all);
  return ids;
}

// A tokenizer from a file of any content: its tokens, as ids and as text.
inline void check(const Tokenizer& tokenizer) {
  constexpr size_t kTokens = 400;
  std::vector<int32_t> ids;
  std::string text = "a ab  1234's \u00e9e\u0301 \u4e2d\U0001F600\n\n\xFF<s>";
  for (size_t i = 0; i < std::min(tokenizer.vocab_size(), kTokens); ++i) {
    const auto id = static_cast<int32_t>(i);
    ids.push_back(id);
    require(tokenizer.is_control(id) ? tokenizer.token_bytes(id).empty() : true);
    if (text.size() < 4096) text += tokenizer.token_text(id);
  }
  check_decode(tokenizer, ids);
  for (const bool parse_special : {false, true}) {
    try {
      check_encode(tokenizer, text, parse_special);
    } catch (const Error&) {  // a character without a token, a pattern that needs too many steps
    }
  }
  for (const auto id : {tokenizer.bos(), tokenizer.eos()}) {
    require(!id || static_cast<size_t>(*id) < tokenizer.vocab_size());
  }
  for (const int32_t id : tokenizer.end_of_generation()) require(tokenizer.ends_generation(id));
}

}  // namespace weft::fuzz

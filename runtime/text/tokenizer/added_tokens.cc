#include "runtime/text/tokenizer/added_tokens.h"

#include <algorithm>
#include <utility>

#include "core/utf8.h"
#include "runtime/text/tokenizer/unicode.h"

namespace weft {
namespace {

// The last character of text that is UTF-8 and not empty, as its bytes.
std::string_view last_character(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
  return text.substr(begin);
}

std::string_view first_character(std::string_view text) { return text.substr(0, first_utf8_sequence(text).length); }

bool stands_alone(std::string_view text, size_t begin, size_t end) {
  const auto is_word_character = [](std::string_view c) { return is_word(decode_utf8(c)); };
  return (begin == 0 || !is_word_character(last_character(text.substr(0, begin)))) &&
         (end == text.size() || !is_word_character(first_character(text.substr(end))));
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const std::vector<Normalizer>& normalizers)
    : tokens_(std::move(tokens)) {
  std::stable_sort(tokens_.begin(), tokens_.end(),
                   [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  std::vector<AddedToken> last;
  for (AddedToken& token : tokens_) {
    if (!last.empty() && last.back().id == token.id) last.pop_back();
    last.push_back(std::move(token));
  }
  tokens_ = std::move(last);

  std::vector<SpecialText::Token> before, after;
  for (const AddedToken& token : tokens_) {
    if (!token.normalized) {
      before.push_back({token.text, token.id});
    } else if (std::string text = apply_all(normalizers, token.text); !text.empty()) {
      after.push_back({std::move(text), token.id});
    }
  }
  before_ = SpecialText(std::move(before));
  after_ = SpecialText(std::move(after));
}

const AddedToken& AddedTokens::token(int32_t id) const {
  return *std::lower_bound(tokens_.begin(), tokens_.end(), id,
                           [](const AddedToken& t, int32_t wanted) { return t.id < wanted; });
}

std::vector<TextFragment> AddedTokens::split(std::string_view text, bool normalized, bool parse_special) const {
  const SpecialText& texts = normalized ? after_ : before_;
  std::vector<TextFragment> fragments;
  size_t done = 0;
  size_t white_begin = 0, white_end = 0;  // white space consumed by the last token with rstrip
  for (size_t at = 0; !texts.empty() && at < text.size();) {
    const SpecialText::Token* found = texts.longest_at(text, at);
    if (found == nullptr) {
      ++at;
      continue;
    }
    const AddedToken& match = token(found->id);
    size_t begin = at, end = at + found->text.size();
    at = end;
    if (match.special && !parse_special) continue;
    if (match.single_word && !stands_alone(text, begin, end)) continue;
    while (match.lstrip && begin > done) {
      const std::string_view c = last_character(text.substr(0, begin));
      if (!is_white_space(decode_utf8(c))) break;
      begin -= c.size();
    }
    if (match.rstrip) {
      // Tokens in white space that the previous one consumed are still found, as in Hugging Face's library.
      const size_t from = end;
      if (white_begin <= end && end < white_end) end = white_end;
      while (end < text.size()) {
        const std::string_view c = first_character(text.substr(end));
        if (!is_white_space(decode_utf8(c))) break;
        end += c.size();
      }
      white_begin = from;
      white_end = end;
    }
    if (begin > done) fragments.push_back({text.substr(done, begin - done), -1});
    fragments.push_back({text.substr(begin, end - begin), match.id});
    done = end;
  }
  if (done < text.size()) fragments.push_back({text.substr(done), -1});
  return fragments;
}

}  // namespace weft

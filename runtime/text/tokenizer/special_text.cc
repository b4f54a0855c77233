#include "runtime/text/tokenizer/special_text.h"

#include <algorithm>
#include <utility>

namespace weft {

SpecialText::SpecialText(std::vector<Token> tokens) : tokens_(std::move(tokens)) {
  std::sort(tokens_.begin(), tokens_.end(),
            [](const Token& a, const Token& b) { return a.text != b.text ? a.text < b.text : a.id > b.id; });
  const auto same_text = [](const Token& a, const Token& b) { return a.text == b.text; };
  tokens_.erase(std::unique(tokens_.begin(), tokens_.end(), same_text), tokens_.end());
  for (const Token& token : tokens_) ++by_lead_[static_cast<uint8_t>(token.text[0]) + 1u];
  for (size_t b = 1; b < by_lead_.size(); ++b) by_lead_[b] += by_lead_[b - 1];
}

// The sorted tokens serve as a trie: those that agree with
// the first `depth` bytes are a range, which each further byte narrows; a token that ends there is its first.
template <class Found>
void SpecialText::find_at(std::string_view text, size_t begin, Found found) const {
  const auto lead = static_cast<uint8_t>(text[begin]);
  uint32_t low = by_lead_[lead];
  uint32_t high = by_lead_[lead + 1u];
  for (size_t depth = 1; low < high; ++depth) {
    if (tokens_[low].text.size() == depth) found(low++);
    if (begin + depth == text.size()) return;
    const auto byte = static_cast<uint8_t>(text[begin + depth]);
    const auto byte_of = [depth](const Token& token) { return static_cast<uint8_t>(token.text[depth]); };
    const auto first = tokens_.begin() + low;
    const auto last = tokens_.begin() + high;
    const auto from = std::partition_point(first, last, [&](const Token& t) { return byte_of(t) < byte; });
    const auto to = std::partition_point(from, last, [&](const Token& t) { return byte_of(t) == byte; });
    low = static_cast<uint32_t>(from - tokens_.begin());
    high = static_cast<uint32_t>(to - tokens_.begin());
  }
}

const SpecialText::Token* SpecialText::longest_at(std::string_view text, size_t begin) const {
  const Token* longest = nullptr;
  find_at(text, begin, [&](uint32_t token) { longest = &tokens_[token]; });
  return longest;
}

std::vector<TextFragment> SpecialText::split(std::string_view text) const {
  std::vector<Match> matches;
  if (!tokens_.empty()) {
    for (size_t begin = 0; begin < text.size(); ++begin) {
      find_at(text, begin, [&](uint32_t token) { matches.push_back({begin, token}); });
    }
  }
  std::sort(matches.begin(), matches.end(), [this](const Match& a, const Match& b) {
    const Token& ta = tokens_[a.token];
    const Token& tb = tokens_[b.token];
    if (ta.text.size() != tb.text.size()) return ta.text.size() > tb.text.size();
    if (ta.id != tb.id) return ta.id < tb.id;
    return a.begin < b.begin;
  });

  // In that order, keep what overlaps nothing kept before. Nothing kept later is longer, so a match overlaps
  // exactly if its first or its last byte is taken.
  std::vector<bool> taken(matches.empty() ? 0 : text.size());
  std::vector<Match> kept;
  for (const Match& match : matches) {
    const size_t length = tokens_[match.token].text.size();
    if (taken[match.begin] || taken[match.begin + length - 1]) continue;
    for (size_t i = 0; i < length; ++i) taken[match.begin + i] = true;
    kept.push_back(match);
  }
  std::sort(kept.begin(), kept.end(), [](const Match& a, const Match& b) { return a.begin < b.begin; });

  std::vector<TextFragment> fragments;
  size_t done = 0;
  for (const Match& match : kept) {
    const Token& token = tokens_[match.token];
    if (match.begin > done) fragments.push_back({text.substr(done, match.begin - done), -1});
    fragments.push_back({text.substr(match.begin, token.text.size()), token.id});
    done = match.begin + token.text.size();
  }
  if (done < text.size()) fragments.push_back({text.substr(done), -1});
  return fragments;
}

}  // namespace weft

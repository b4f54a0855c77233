#include "runtime/text/tokenizer/spm_tokenizer.h"

#include <algorithm>
#include <array>
#include <limits>
#include <queue>
#include <unordered_map>
#include <utility>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/text/tokenizer/normalizer.h"
#include "runtime/text/tokenizer/pre_tokenizer_names.h"
#include "runtime/text/tokenizer/special_text.h"
#include "runtime/text/tokenizer/text_hash.h"

namespace weft {
namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581

std::vector<std::string> decoded_bytes(const Vocabulary& vocabulary) {
  std::vector<std::string> bytes(vocabulary.size());
  for (size_t i = 0; i < vocabulary.size(); ++i) {
    switch (vocabulary.types[i]) {
      case TokenType::normal:
      case TokenType::unused: bytes[i] = replace_all(vocabulary.texts[i], kSpaceMark, " "); break;
      case TokenType::user_defined: bytes[i] = vocabulary.texts[i]; break;
      case TokenType::byte: bytes[i] = static_cast<char>(*byte_token_value(vocabulary.texts[i])); break;
      case TokenType::control:
      case TokenType::unknown: break;
    }
  }
  return bytes;
}

SpecialText special_text(const Vocabulary& vocabulary, bool with_control) {
  std::vector<SpecialText::Token> tokens;
  for (size_t i = 0; i < vocabulary.size(); ++i) {
    const TokenType type = vocabulary.types[i];
    const bool control = type == TokenType::control || type == TokenType::unknown;
    if (type != TokenType::user_defined && !(with_control && control)) continue;
    if (!vocabulary.texts[i].empty()) tokens.push_back({vocabulary.texts[i], static_cast<int32_t>(i)});
  }
  return SpecialText(std::move(tokens));
}

class SpmTokenizer final : public Tokenizer {
 public:
  SpmTokenizer(Vocabulary vocab, std::vector<std::string> bytes, bool space_prefix);

 private:
  // A run of the text; a doubly linked list by index. Merging extends the left one and empties the right one.
  struct Symbol {
    int32_t previous, next;  // -1 at the ends
    uint32_t begin, length;
  };
  // Two neighbours that may merge. Stale once either has changed, which `length` shows.
  struct Pair {
    float score;
    int32_t left, right;
    uint32_t length;
    bool operator<(const Pair& other) const {  // the greatest merges first
      return score != other.score ? score < other.score : left > other.left;
    }
  };

  void encode_text(std::string_view text, bool parse_special, std::vector<int32_t>& ids) const override;
  std::string bytes_at_start(int32_t id) const override;

  // Text that holds no special token. Not empty; it begins the text or follows a special token if `at_start`.
  void encode_plain(std::string_view text, bool at_start, std::vector<int32_t>& ids) const;
  void append_character(std::string_view character, std::vector<int32_t>& ids) const;

  int32_t find(std::string_view text) const {
    if (text.size() > longest_) return -1;
    const auto found = ids_.find(text);
    return found != ids_.end() ? found->second : -1;
  }

  bool space_prefix_;         // encode puts a space first, decode removes it
  SpecialText user_defined_;  // matched always
  SpecialText all_special_;   // matched with parse_special: control and unknown tokens as well
  // Of tokens that text can become; views of vocabulary().
  std::unordered_map<std::string_view, int32_t, TextHash> ids_;
  size_t longest_ = 0;                 // bytes of the longest of them
  std::array<int32_t, 256> byte_ids_;  // of "<0xXX>", -1 if there is none
};

SpmTokenizer::SpmTokenizer(Vocabulary vocab, std::vector<std::string> bytes, bool space_prefix)
    : Tokenizer(std::move(vocab), std::move(bytes)),
      space_prefix_(space_prefix),
      user_defined_(special_text(vocabulary(), false)),
      all_special_(special_text(vocabulary(), true)) {
  byte_ids_.fill(-1);
  ids_.reserve(vocabulary().size());
  for (size_t i = 0; i < vocabulary().size(); ++i) {
    const std::string& text = vocabulary().texts[i];
    const auto id = static_cast<int32_t>(i);
    switch (vocabulary().types[i]) {
      case TokenType::byte: byte_ids_[*byte_token_value(text)] = id; break;
      case TokenType::control:
      case TokenType::unknown: break;
      case TokenType::normal:
      case TokenType::unused:
      case TokenType::user_defined:
        if (text.empty()) break;
        ids_[text] = id;  // of tokens with the same text, the last one counts
        longest_ = std::max(longest_, text.size());
        break;
    }
  }
}

void SpmTokenizer::encode_text(std::string_view text, bool parse_special, std::vector<int32_t>& ids) const {
  bool at_start = true;
  for (const TextFragment& fragment : (parse_special ? all_special_ : user_defined_).split(text)) {
    if (fragment.id >= 0) {
      ids.push_back(fragment.id);
    } else {
      encode_plain(fragment.text, at_start, ids);
    }
    at_start = fragment.id >= 0;
  }
}

std::string SpmTokenizer::bytes_at_start(int32_t id) const {
  std::string_view bytes = token_bytes(id);
  const TokenType type = vocabulary().types[static_cast<size_t>(id)];
  const bool plain = type == TokenType::normal || type == TokenType::unused;
  if (space_prefix_ && plain && bytes.starts_with(' ')) bytes.remove_prefix(1);
  return std::string(bytes);
}

void SpmTokenizer::encode_plain(std::string_view plain, bool at_start, std::vector<int32_t>& ids) const {
  std::string text = at_start && space_prefix_ ? std::string(kSpaceMark) : std::string();
  text += replace_all(plain, " ", kSpaceMark);
  if (text.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    throw Error("cannot tokenize more than 2^31 - 1 bytes at once, spaces counting three");
  }

  std::vector<Symbol> symbols;
  for (size_t begin = 0; begin < text.size();) {
    // In text that is not UTF-8, a symbol is a maximal subpart, which becomes byte tokens and nothing more.
    const size_t length = first_utf8_sequence(std::string_view(text).substr(begin)).length;
    const auto i = static_cast<int32_t>(symbols.size());
    symbols.push_back({i - 1, i + 1, static_cast<uint32_t>(begin), static_cast<uint32_t>(length)});
    begin += length;
  }
  symbols.back().next = -1;

  std::priority_queue<Pair> pairs;
  const auto add_pair = [&](int32_t left, int32_t right) {
    if (left < 0 || right < 0) return;
    const Symbol& a = symbols[static_cast<size_t>(left)];
    const uint32_t length = a.length + symbols[static_cast<size_t>(right)].length;
    const int32_t id = find(std::string_view(text).substr(a.begin, length));
    if (id >= 0) pairs.push({vocabulary().scores[static_cast<size_t>(id)], left, right, length});
  };
  for (size_t i = 1; i < symbols.size(); ++i) add_pair(static_cast<int32_t>(i) - 1, static_cast<int32_t>(i));

  while (!pairs.empty()) {
    const Pair pair = pairs.top();
    pairs.pop();
    Symbol& left = symbols[static_cast<size_t>(pair.left)];
    Symbol& right = symbols[static_cast<size_t>(pair.right)];
    // Lengths only grow, and a symbol that was merged away has length 0.
    if (left.length == 0 || right.length == 0 || left.length + right.length != pair.length) continue;
    left.length = pair.length;
    right.length = 0;
    left.next = right.next;
    if (right.next >= 0) symbols[static_cast<size_t>(right.next)].previous = pair.left;
    add_pair(left.previous, pair.left);
    add_pair(pair.left, left.next);
  }

  for (int32_t i = 0; i >= 0; i = symbols[static_cast<size_t>(i)].next) {
    const Symbol& symbol = symbols[static_cast<size_t>(i)];
    const std::string_view piece = std::string_view(text).substr(symbol.begin, symbol.length);
    const int32_t id = find(piece);
    if (id >= 0) {
      ids.push_back(id);
    } else {
      append_character(piece, ids);
    }
  }
}

// A character that is not a token itself.
void SpmTokenizer::append_character(std::string_view character, std::vector<int32_t>& ids) const {
  const auto byte_id = [this](char c) { return byte_ids_[static_cast<uint8_t>(c)]; };
  if (std::all_of(character.begin(), character.end(), [&](char c) { return byte_id(c) >= 0; })) {
    for (const char c : character) ids.push_back(byte_id(c));
  } else if (vocabulary().unknown) {
    ids.push_back(*vocabulary().unknown);
  } else {
    throw Error(vocabulary().source + ": the vocabulary has no token for " + in_quotes(character) +
                ", no byte tokens for it and no unknown token");
  }
}

}  // namespace

std::unique_ptr<Tokenizer> make_spm_tokenizer(Vocabulary vocabulary, bool space_prefix) {
  std::vector<std::string> bytes = decoded_bytes(vocabulary);
  return std::make_unique<SpmTokenizer>(std::move(vocabulary), std::move(bytes), space_prefix);
}

std::unique_ptr<Tokenizer> load_spm_tokenizer(const GgufFile& file, const TokenizerOptions& options) {
  const VocabularyDefaults defaults{.add_bos = true, .add_eos = false, .bos = 1, .eos = 2, .unknown = 0};
  Vocabulary vocabulary = read_vocabulary(file, defaults);
  if (vocabulary.scores.empty()) file.fail("tokenizer.ggml.scores", "is absent");
  warn_of_pre_tokenizer(options, "is SentencePiece's, which cuts no words", vocabulary);
  return make_spm_tokenizer(std::move(vocabulary), file.get_bool("tokenizer.ggml.add_space_prefix", true));
}

}  // namespace weft

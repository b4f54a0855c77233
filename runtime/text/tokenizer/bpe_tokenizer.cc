#include "runtime/text/tokenizer/bpe_tokenizer.h"

#include <utility>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/text/tokenizer/byte_alphabet.h"

namespace weft {
namespace {

class BpeTokenizer final : public Tokenizer {
 public:
  explicit BpeTokenizer(BpeParts parts)
      : Tokenizer(std::move(parts.vocabulary), std::move(parts.bytes)),
        start_(parts.start),
        mark_(std::move(parts.mark)),
        added_(std::move(parts.added), parts.normalizers),
        normalizers_(std::move(parts.normalizers)),
        pre_tokenizers_(std::move(parts.pre_tokenizers)),
        model_(std::move(parts.ids), parts.merges, parts.options) {}

 private:
  void encode_text(std::string_view text, bool parse_special, std::vector<int32_t>& ids) const override {
    const std::string valid = is_utf8(text) ? std::string() : make_utf8(text);
    if (!valid.empty()) text = valid;
    BpeModel::Work work;
    for (const TextFragment& raw : added_.split(text, false, parse_special)) {
      if (raw.id >= 0) {
        ids.push_back(raw.id);
        continue;
      }
      const std::string normalized = apply_all(normalizers_, raw.text);
      const bool first = raw.text.data() == text.data();
      for (const TextFragment& fragment : added_.split(normalized, true, parse_special)) {
        if (fragment.id >= 0) {
          ids.push_back(fragment.id);
        } else {
          encode_words(fragment.text, first && fragment.text.data() == normalized.data(), work, ids);
        }
      }
    }
  }

  void encode_words(std::string_view text, bool first, BpeModel::Work& work, std::vector<int32_t>& ids) const {
    Words words{std::string(text), {{0, text.size(), first}}};
    for (const PreTokenizer& step : pre_tokenizers_) step(words);
    for (const Words::Word& word : words.words) model_.encode(words.view(word), work, ids);
  }

  std::string bytes_at_start(int32_t id) const override {
    std::string_view bytes = token_bytes(id);
    if (start_ == BpeParts::Start::drop) return replace_all(bytes, mark_, "");
    if (start_ == BpeParts::Start::strip && bytes.starts_with(mark_)) bytes.remove_prefix(mark_.size());
    return std::string(bytes);
  }

  BpeParts::Start start_;
  std::string mark_;
  AddedTokens added_;
  std::vector<Normalizer> normalizers_;
  std::vector<PreTokenizer> pre_tokenizers_;
  BpeModel model_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_bpe_tokenizer(BpeParts parts) {
  return std::make_unique<BpeTokenizer>(std::move(parts));
}

void add_merge(std::string_view left, std::string_view right, const TextIndex& ids,
               std::vector<BpeModel::Merge>& merges) {
  const auto id_of = [&](std::string_view text) {
    const auto found = ids.find(text);
    if (found == ids.end()) throw Error("there is no token " + in_quotes(text));
    return found->second;
  };
  const int32_t left_id = id_of(left), right_id = id_of(right);
  const int32_t result = id_of(std::string(left) + std::string(right));
  merges.push_back({left_id, right_id, result, static_cast<uint32_t>(merges.size())});
}

void add_merge(std::string_view both, const TextIndex& ids, std::vector<BpeModel::Merge>& merges) {
  const size_t space = both.find(' ', 1);
  if (space == both.npos || space + 1 == both.size()) {
    throw Error(in_quotes(both) + " is not two tokens with a space between them");
  }
  add_merge(both.substr(0, space), both.substr(space + 1), ids, merges);
}

TextIndex byte_level_ids(const TextIndex& ids) {
  TextIndex by_bytes;
  by_bytes.reserve(ids.size());
  for (const auto& [text, id] : ids) {
    if (auto bytes = from_byte_alphabet(text); bytes && !bytes->empty()) by_bytes.emplace(std::move(*bytes), id);
  }
  return by_bytes;
}

std::vector<std::string> byte_level_bytes(const Vocabulary& vocabulary) {
  std::vector<std::string> bytes(vocabulary.size());
  for (size_t i = 0; i < bytes.size(); ++i) {
    const std::string& text = vocabulary.texts[i];
    switch (vocabulary.types[i]) {
      case TokenType::control:
      case TokenType::unknown: break;
      case TokenType::byte: bytes[i] = static_cast<char>(*byte_token_value(text)); break;
      case TokenType::user_defined: bytes[i] = text; break;
      case TokenType::normal:
      case TokenType::unused: bytes[i] = from_byte_alphabet(text).value_or(text); break;
    }
  }
  return bytes;
}

}  // namespace weft

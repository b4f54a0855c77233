#include "runtime/tokenizer.h"

#include <limits>
#include <utility>

#include "core/error.h"
#include "runtime/spm_tokenizer.h"
#include "runtime/utf8.h"

namespace weft {
namespace {

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

}  // namespace

Tokenizer::Tokenizer(Vocabulary vocabulary, std::vector<std::string> bytes, bool space_prefix)
    : vocabulary_(std::move(vocabulary)),
      bytes_(std::move(bytes)),
      space_prefix_(space_prefix),
      user_defined_(special_text(vocabulary_, false)),
      all_special_(special_text(vocabulary_, true)) {}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special, bool parse_special) const {
  if (text.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    throw Error("cannot tokenize " + std::to_string(text.size()) + " bytes at once; the limit is 2^31 - 1");
  }
  std::vector<int32_t> ids;
  if (add_special && vocabulary_.add_bos) ids.push_back(*vocabulary_.bos);
  bool at_start = true;
  for (const TextFragment& fragment : (parse_special ? all_special_ : user_defined_).split(text)) {
    if (fragment.id >= 0) {
      ids.push_back(fragment.id);
    } else {
      encode_plain(fragment.text, at_start, ids);
    }
    at_start = fragment.id >= 0;
  }
  if (add_special && vocabulary_.add_eos) ids.push_back(*vocabulary_.eos);
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool at_start) const {
  StreamDecoder decoder(*this, at_start);
  std::string text;
  for (const int32_t id : ids) text += decoder.push(id);
  return text + decoder.flush();
}

const std::string& Tokenizer::token_text(int32_t id) const { return vocabulary_.texts[index(id)]; }

std::string_view Tokenizer::token_bytes(int32_t id) const { return bytes_[index(id)]; }

bool Tokenizer::is_control(int32_t id) const { return vocabulary_.types[index(id)] == TokenType::control; }

size_t Tokenizer::index(int32_t id) const {
  if (id < 0 || static_cast<size_t>(id) >= vocabulary_.size()) {
    throw Error(vocabulary_.source + ": token id " + std::to_string(id) + " is outside the vocabulary of " +
                std::to_string(vocabulary_.size()) + " tokens");
  }
  return static_cast<size_t>(id);
}

std::string StreamDecoder::push(int32_t id) {
  std::string_view bytes = tokenizer_->token_bytes(id);
  if (at_start_ && !bytes.empty()) {
    const TokenType type = tokenizer_->vocabulary_.types[static_cast<size_t>(id)];
    const bool plain = type == TokenType::normal || type == TokenType::unused;
    if (tokenizer_->space_prefix_ && plain && bytes[0] == ' ') bytes.remove_prefix(1);
    at_start_ = false;
  }
  std::string text;
  pending_ += bytes;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Sequence sequence = first_utf8_sequence(rest);
    if (sequence.kind == Utf8Kind::incomplete) break;
    text += sequence.kind == Utf8Kind::complete ? rest.substr(0, sequence.length) : kReplacementCharacter;
    rest.remove_prefix(sequence.length);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return text;
}

std::string StreamDecoder::flush() {
  if (pending_.empty()) return {};
  pending_.clear();
  return std::string(kReplacementCharacter);
}

std::unique_ptr<Tokenizer> load_tokenizer(const GgufFile& file) {
  constexpr std::string_view kModel = "tokenizer.ggml.model";
  const std::string_view model = file.get_string(kModel);
  if (model == "llama") return load_spm_tokenizer(file);
  file.fail(kModel,
            "is " + in_quotes(model) + ", a tokenizer which this build does not have; it has 'llama'");
}

std::unique_ptr<Tokenizer> load_tokenizer(const Checkpoint& checkpoint) {
  if (const GgufFile* file = checkpoint.gguf()) return load_tokenizer(*file);
  throw Error(checkpoint.path() + ": tokenizers of directories are not read yet");
}

}  // namespace weft

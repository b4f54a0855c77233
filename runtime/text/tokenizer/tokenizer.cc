#include "runtime/text/tokenizer/tokenizer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/text/tokenizer/bpe_tokenizer.h"
#include "runtime/text/tokenizer/spm_tokenizer.h"

namespace weft {

Tokenizer::Tokenizer(Vocabulary vocabulary, std::vector<std::string> bytes)
    : vocabulary_(std::move(vocabulary)), bytes_(std::move(bytes)) {}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special, bool parse_special) const {
  if (text.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    throw Error("cannot tokenize " + std::to_string(text.size()) + " bytes at once; the limit is 2^31 - 1");
  }
  std::vector<int32_t> ids;
  if (add_special) ids = vocabulary_.prefix;
  encode_text(text, parse_special, ids);
  if (add_special) ids.insert(ids.end(), vocabulary_.suffix.begin(), vocabulary_.suffix.end());
  return ids;
}

bool Tokenizer::ends_generation(int32_t id) const {
  return std::binary_search(vocabulary_.ends.begin(), vocabulary_.ends.end(), id);
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
  const std::string_view bytes = tokenizer_->token_bytes(id);
  if (at_start_ && !bytes.empty()) {
    pending_ += tokenizer_->bytes_at_start(id);
    at_start_ = false;
  } else {
    pending_ += bytes;
  }
  std::string text;
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

std::unique_ptr<Tokenizer> load_tokenizer(const GgufFile& file, const TokenizerOptions& options) {
  constexpr std::string_view kModel = "tokenizer.ggml.model";
  const std::string_view model = file.get_string(kModel);
  if (model == "llama") return load_spm_tokenizer(file, options);
  if (model == "gpt2") return load_bpe_tokenizer(file, options);
  file.fail(kModel,
            "is " + in_quotes(model) + ", a tokenizer that this build does not support; it supports 'llama', 'gpt2'");
}

}  // namespace weft

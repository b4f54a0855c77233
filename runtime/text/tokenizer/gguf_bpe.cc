// Byte-level BPE from the metadata of a GGUF file.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/text/tokenizer/bpe_tokenizer.h"
#include "runtime/text/tokenizer/pre_tokenizer_names.h"

namespace weft {
namespace {

constexpr std::string_view kPre = "tokenizer.ggml.pre";

// The one that the options request, or that the file names.
const NamedPreTokenizer& pre_tokenizer(const GgufFile& file, const TokenizerOptions& options,
                                       std::vector<std::string>& warnings) {
  if (!options.pre_tokenizer.empty()) return wanted_pre_tokenizer(options);
  std::string_view name = file.get_string(kPre, "");
  if (name.empty()) {
    name = "default";
    warnings.push_back(file.path() + ": key '" + std::string(kPre) +
                       "': is absent, so how text is cut into words is a guess; --pre-tokenizer NAME says how (" +
                       listed_pre_tokenizers(false) + ")");
  }
  if (const NamedPreTokenizer* kind = find_pre_tokenizer(name)) return *kind;
  file.fail(kPre, unknown_pre_tokenizer(name) + " (--pre-tokenizer NAME takes one of these)");
}

TextIndex ids_by_text(const Vocabulary& vocabulary) {
  TextIndex ids;
  ids.reserve(vocabulary.size());
  for (size_t i = 0; i < vocabulary.size(); ++i) {
    const TokenType type = vocabulary.types[i];
    if (type == TokenType::control || type == TokenType::unknown || vocabulary.texts[i].empty()) continue;
    ids[vocabulary.texts[i]] = static_cast<int32_t>(i);
  }
  return ids;
}

std::vector<BpeModel::Merge> read_merges(const GgufFile& file, const TextIndex& ids) {
  constexpr std::string_view kMerges = "tokenizer.ggml.merges";
  const std::vector<std::string_view> texts = file.get_string_array(kMerges);
  std::vector<BpeModel::Merge> merges;
  merges.reserve(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    try {
      add_merge(texts[i], ids, merges);
    } catch (const Error& error) {
      file.fail(kMerges, "element " + std::to_string(i) + ", " + in_quotes(texts[i]) + ": " + error.what());
    }
  }
  return merges;
}

std::vector<AddedToken> added_tokens(const GgufFile& file, const Vocabulary& vocabulary) {
  std::vector<AddedToken> added;
  for (size_t i = 0; i < vocabulary.size(); ++i) {
    const TokenType type = vocabulary.types[i];
    const bool special = type == TokenType::control || type == TokenType::unknown;
    const std::string& text = vocabulary.texts[i];
    if ((!special && type != TokenType::user_defined) || text.empty()) continue;
    if (text.size() > kMaxAddedToken) {
      file.fail("tokenizer.ggml.tokens", "element " + std::to_string(i) + " has " + std::to_string(text.size()) +
                                             " bytes; a special token has at most " + std::to_string(kMaxAddedToken));
    }
    added.push_back({.text = text, .id = static_cast<int32_t>(i), .special = special});
  }
  return added;
}

}  // namespace

std::unique_ptr<Tokenizer> load_bpe_tokenizer(const GgufFile& file, const TokenizerOptions& options) {
  std::vector<std::string> warnings;
  const NamedPreTokenizer& kind = pre_tokenizer(file, options, warnings);
  BpeParts parts;
  VocabularyDefaults defaults;
  defaults.add_bos = kind.add_bos;
  parts.vocabulary = read_vocabulary(file, defaults);
  parts.vocabulary.warnings = std::move(warnings);
  parts.bytes = byte_level_bytes(parts.vocabulary);
  parts.added = added_tokens(file, parts.vocabulary);
  const TextIndex ids = ids_by_text(parts.vocabulary);
  parts.merges = read_merges(file, ids);
  parts.ids = byte_level_ids(ids);
  parts.options.byte_level = true;
  set_pre_tokenizer(kind, parts);
  if (file.get_bool("tokenizer.ggml.add_space_prefix", false)) {
    parts.pre_tokenizers.insert(parts.pre_tokenizers.begin(), prefix_space());
  }
  return make_bpe_tokenizer(std::move(parts));
}

}  // namespace weft

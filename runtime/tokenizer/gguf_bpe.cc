// Byte-level BPE from the metadata of a GGUF file.
#include <array>
#include <span>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "runtime/tokenizer/bpe_tokenizer.h"
#include "runtime/tokenizer/unicode.h"
#include "runtime/utf8.h"

namespace weft {
namespace {

constexpr std::string_view kPre = "tokenizer.ggml.pre";

// What a name of tokenizer.ggml.pre stands for.
struct Family {
  std::span<const std::string_view> names;
  std::span<const std::string_view> patterns;  // each cuts the words that those before left
  bool ignore_merges = false;
  bool add_bos = false;  // unless the file says otherwise
  bool nfc = false;      // as the tokenizer.json of these models has it
};

// What llama.cpp does with files that name no family or "default".
constexpr std::array<std::string_view, 1> kDefaultNames = {"default"};
const std::array<std::string_view, 4> kDefaultPatterns = {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Pattern, R"(\p{N}+)",
                                                          R"([0-9][0-9][0-9])"};
constexpr std::array<std::string_view, 8> kGpt2Names = {"gpt-2",       "gpt2",          "phi-2",  "jina-es", "jina-de",
                                                        "jina-v2-es", "jina-v2-de", "olmo"};
constexpr std::array<std::string_view, 6> kLlama3Names = {"llama-bpe", "llama3",  "llama-v3",
                                                          "falcon3",   "pixtral", "lfm2"};
constexpr std::array<std::string_view, 2> kSmaugNames = {"smaug-bpe", "dbrx"};
constexpr std::array<std::string_view, 5> kQwen2Names = {"qwen2", "deepseek-r1-qwen", "kormo", "megrez", "stablelm2"};
constexpr std::array<std::string_view, 1> kTekkenNames = {"tekken"};

const std::array<Family, 6>& families() {
  static const std::array<Family, 6> all = {{
      {.names = kDefaultNames, .patterns = kDefaultPatterns},
      {.names = kGpt2Names, .patterns = {&kGpt2Pattern, 1}},
      {.names = kLlama3Names, .patterns = {&kLlama3Pattern, 1}, .ignore_merges = true, .add_bos = true},
      {.names = kSmaugNames, .patterns = {&kLlama3Pattern, 1}},
      {.names = kQwen2Names, .patterns = {&kQwen2Pattern, 1}, .nfc = true},
      {.names = kTekkenNames, .patterns = {&kTekkenPattern, 1}, .ignore_merges = true, .add_bos = true},
  }};
  return all;
}

const Family& family(const GgufFile& file) {
  const std::string_view name = file.get_string(kPre, "default");
  std::string known;
  for (const Family& f : families()) {
    for (const std::string_view n : f.names) {
      if (n == name) return f;
      known += (known.empty() ? "" : ", ") + std::string(n);
    }
  }
  file.fail(kPre, "is " + in_quotes(name) + ", which this build does not know; it knows " + known);
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
                                             " bytes; a special token has at most " +
                                             std::to_string(kMaxAddedToken));
    }
    added.push_back({.text = text, .id = static_cast<int32_t>(i), .special = special});
  }
  return added;
}

}  // namespace

std::unique_ptr<Tokenizer> load_bpe_tokenizer(const GgufFile& file) {
  const Family& kind = family(file);
  BpeParts parts;
  VocabularyDefaults defaults;
  defaults.add_bos = kind.add_bos;
  parts.vocabulary = read_vocabulary(file, defaults);
  parts.bytes = byte_level_bytes(parts.vocabulary);
  parts.added = added_tokens(file, parts.vocabulary);
  const TextIndex ids = ids_by_text(parts.vocabulary);
  parts.merges = read_merges(file, ids);
  parts.ids = byte_level_ids(ids);
  parts.options.byte_level = true;
  parts.options.ignore_merges = kind.ignore_merges;
  if (kind.nfc) parts.normalizers.push_back([](std::string_view text) { return normalize(text, NormalForm::nfc); });
  if (file.get_bool("tokenizer.ggml.add_space_prefix", false)) parts.pre_tokenizers.push_back(prefix_space());
  for (const std::string_view pattern : kind.patterns) {
    parts.pre_tokenizers.push_back(split_at(Regex(pattern), SplitBehavior::isolated, false));
  }
  return make_bpe_tokenizer(std::move(parts));
}

}  // namespace weft

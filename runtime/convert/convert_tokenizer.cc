#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/convert/convert.h"
#include "runtime/files/json_node.h"
#include "runtime/files/mapped_file.h"
#include "runtime/text/chat_template.h"
#include "runtime/text/tokenizer/tokenizer_config.h"
#include "runtime/text/tokenizer/tokenizer_json.h"
#include "runtime/text/tokenizer/tokenizer_model.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

constexpr float kAddedScore = -1000.0f;  // of tokens that no merge leads to, as in llama.cpp's converter

// fun(JsonNode) for each step of a normalizer or pre-tokenizer of tokenizer.json. `members`: the key of the steps
// in a sequence.
template <class Fun>
void each_step(const JsonNode& node, std::string_view members, const Fun& fun) {
  if (node.is_null()) return;
  if (node.at("type").text() != "Sequence") return fun(node);
  node.at(members).each([&](const JsonNode& step) { each_step(step, members, fun); });
}

[[noreturn]] void fail_no_word(const JsonNode& step) {
  step.fail("is " + in_quotes(step.at("type").text()) + ", or has options, that GGUF cannot express");
}

// GGUF states how a byte-level tokenizer cuts text by the name of a family of models.
std::string pre_tokenizer_name(const JsonNode& root, GgufMetadata& metadata) {
  std::string_view pattern;
  int patterns = 0;
  bool prefix = false;
  each_step(root.at("pre_tokenizer"), "pretokenizers", [&](const JsonNode& step) {
    const std::string& type = step.at("type").text();
    if (type == "ByteLevel") {
      prefix = prefix || step.at("add_prefix_space").flag(true);
      if (!step.at("use_regex").flag(true)) return;
      pattern = kGpt2Pattern;
    } else {
      if (type != "Split" || step.at("behavior").text() != "Isolated") fail_no_word(step);
      pattern = step.at("pattern").at("Regex").text();
    }
    ++patterns;
  });
  std::string name;
  if (pattern == kLlama3Pattern) name = "llama-bpe";
  if (pattern == kQwen2Pattern) name = "qwen2";
  if (pattern == kGpt2Pattern) name = "gpt-2";
  if (pattern == kTekkenPattern) name = "tekken";
  if (name.empty() || patterns != 1) {
    root.at("pre_tokenizer")
        .fail(
            "cuts text in a way that GGUF has no name for, or whose name this build does not know: "
            "it knows llama-bpe, qwen2, gpt-2 and tekken");
  }
  each_step(root.at("normalizer"), "normalizers", [&](const JsonNode& step) {
    if (name != "qwen2" || step.at("type").text() != "NFC") fail_no_word(step);
  });
  if (prefix) metadata.set("tokenizer.ggml.add_space_prefix", true);
  return name;
}

// Whether a tokenizer of SentencePiece's kind puts a space before the text.
bool has_space_prefix(const JsonNode& root) {
  constexpr std::string_view kMark = "\u2581";
  bool prefix = false, marks = false;
  each_step(root.at("normalizer"), "normalizers", [&](const JsonNode& step) {
    const std::string& type = step.at("type").text();
    if (type == "Replace") marks = true;
    if (type == "Prepend" && step.at("prepend").text() == kMark) {
      prefix = true;
    } else if (type != "Replace" || step.at("pattern").at("String").text() != " " ||
               step.at("content").text() != kMark) {
      fail_no_word(step);
    }
  });
  each_step(root.at("pre_tokenizer"), "pretokenizers", [&](const JsonNode& step) {
    if (step.at("type").text() != "Metaspace" || step.at("replacement").text() != kMark) fail_no_word(step);
    const JsonNode scheme = step.at("prepend_scheme");
    const bool put = scheme.is_null() ? step.at("add_prefix_space").flag(true) : scheme.text() != "never";
    prefix = prefix || put;
    marks = true;
  });
  if (!marks) root.at("normalizer").fail("does not write spaces as U+2581, as GGUF's tokenizers of this kind do");
  return prefix;
}

// The ids up to the model's rows that have no token.
void fill_up(Vocabulary& vocabulary, size_t vocab, const std::string& source) {
  if (vocabulary.size() > vocab) {
    throw Error(source + ": has " + std::to_string(vocabulary.size()) + " tokens, but the model has rows for " +
                std::to_string(vocab));
  }
  vocabulary.texts.resize(vocab);
  vocabulary.types.resize(vocab, TokenType::unused);
  if (!vocabulary.scores.empty()) vocabulary.scores.resize(vocab, kAddedScore);
  for (size_t i = 0; i < vocab; ++i) {
    if (vocabulary.texts[i].empty()) vocabulary.texts[i] = "[PAD" + std::to_string(i) + "]";
  }
}

void set_vocabulary(const Vocabulary& vocabulary, GgufMetadata& metadata) {
  metadata.set("tokenizer.ggml.tokens", std::span<const std::string>(vocabulary.texts));
  if (!vocabulary.scores.empty()) metadata.set("tokenizer.ggml.scores", std::span<const float>(vocabulary.scores));
  std::vector<int32_t> types;
  for (const TokenType type : vocabulary.types) types.push_back(static_cast<int32_t>(type));
  metadata.set("tokenizer.ggml.token_type", std::span<const int32_t>(types));
}

void set_special_ids(const Vocabulary& vocabulary, GgufMetadata& metadata) {
  const auto set = [&](const char* key, const std::optional<int32_t>& id) {
    if (id) metadata.set(std::string("tokenizer.ggml.") + key, static_cast<uint32_t>(*id));
  };
  set("bos_token_id", vocabulary.bos);
  set("eos_token_id", vocabulary.eos);
  set("unknown_token_id", vocabulary.unknown);
  // GGUF has two places for what ends generation besides the end of a text, and some readers support a list.
  // Tokens that readers find by their text come last.
  std::vector<int32_t> ends;
  for (const int32_t id : vocabulary.ends) {
    if (!vocabulary.eos || id != *vocabulary.eos) ends.push_back(id);
  }
  const auto known = std::stable_partition(
      ends.begin(), ends.end(), [&](int32_t id) { return !is_known_end(vocabulary.texts[static_cast<size_t>(id)]); });
  const auto unknown = known - ends.begin();
  if (!ends.empty()) set("eot_token_id", ends[0]);
  if (unknown > 1) set("eom_token_id", ends[1]);
  if (unknown > 2) metadata.set("tokenizer.ggml.eos_token_ids", std::span<const int32_t>(vocabulary.ends));
  const auto holds = [](const std::vector<int32_t>& ids, const std::optional<int32_t>& id) {
    return id && std::find(ids.begin(), ids.end(), *id) != ids.end();
  };
  metadata.set("tokenizer.ggml.add_bos_token", holds(vocabulary.prefix, vocabulary.bos));
  metadata.set("tokenizer.ggml.add_eos_token", holds(vocabulary.suffix, vocabulary.eos));
}

void from_sentencepiece(const MappedFile& file, const TokenizerConfig& config, size_t vocab, GgufMetadata& metadata) {
  SentencePieceModel model = read_sentencepiece(file.text(), file.path());
  Vocabulary& vocabulary = model.vocabulary;
  apply_config(config, vocabulary);
  vocabulary.scores.resize(vocabulary.size(), kAddedScore);
  fill_up(vocabulary, vocab, file.path());
  if (config.add_bos.value_or(true) && vocabulary.bos) vocabulary.prefix = {*vocabulary.bos};
  if (config.add_eos.value_or(false) && vocabulary.eos) vocabulary.suffix = {*vocabulary.eos};
  metadata.set("tokenizer.ggml.model", "llama");
  metadata.set("tokenizer.ggml.pre", "default");
  set_vocabulary(vocabulary, metadata);
  set_special_ids(vocabulary, metadata);
  if (!model.space_prefix) metadata.set("tokenizer.ggml.add_space_prefix", false);
}

// SentencePiece merges by the score of the result: the negated rank of the merge is equivalent.
std::vector<float> scores_of_merges(const BpeParts& parts) {
  std::vector<float> scores(parts.vocabulary.size(), kAddedScore);
  std::vector<bool> known(scores.size(), false);
  float lowest = 0;
  for (const BpeModel::Merge& merge : parts.merges) {
    const auto result = static_cast<size_t>(merge.result);
    if (known[result]) continue;
    known[result] = true;
    scores[result] = -static_cast<float>(merge.rank);
    lowest = std::min(lowest, scores[result]);
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    const TokenType type = parts.vocabulary.types[i];
    // Single characters: nothing merges into them.
    if (type == TokenType::normal && !known[i]) scores[i] = lowest - 1;
    if (type == TokenType::byte || type == TokenType::control || type == TokenType::unknown) scores[i] = 0;
  }
  return scores;
}

// `json`: tokenizer.json; null for tiktoken's text.
void from_bpe(BpeParts parts, const std::string& source, const Json& json, const TokenizerConfig& config, size_t vocab,
              GgufMetadata& metadata) {
  const JsonNode root(json, source);
  Vocabulary& vocabulary = parts.vocabulary;
  apply_config(config, parts, json.is_null() ? AddedIds::of_file : AddedIds::next);
  if (!vocabulary.bos && vocabulary.prefix.size() == 1) vocabulary.bos = vocabulary.prefix[0];
  if (parts.options.byte_level) {
    metadata.set("tokenizer.ggml.model", "gpt2");
    metadata.set("tokenizer.ggml.pre", json.is_null() ? "llama-bpe" : pre_tokenizer_name(root, metadata));
    std::vector<std::string> merges;
    for (const BpeModel::Merge& merge : parts.merges) {
      merges.push_back(vocabulary.texts[static_cast<size_t>(merge.left)] + " " +
                       vocabulary.texts[static_cast<size_t>(merge.right)]);
    }
    fill_up(vocabulary, vocab, source);
    set_vocabulary(vocabulary, metadata);
    metadata.set("tokenizer.ggml.merges", std::span<const std::string>(merges));
  } else {
    if (!parts.options.byte_fallback) {
      throw Error(source + ": is neither byte-level nor falls back to bytes, which GGUF cannot express");
    }
    if (!has_space_prefix(root)) metadata.set("tokenizer.ggml.add_space_prefix", false);
    vocabulary.scores = scores_of_merges(parts);
    if (vocabulary.unknown) vocabulary.types[static_cast<size_t>(*vocabulary.unknown)] = TokenType::unknown;
    fill_up(vocabulary, vocab, source);
    metadata.set("tokenizer.ggml.model", "llama");
    metadata.set("tokenizer.ggml.pre", "default");
    set_vocabulary(vocabulary, metadata);
  }
  set_special_ids(vocabulary, metadata);
}

void set_chat_templates(const fs::path& directory, GgufMetadata& metadata) {
  std::vector<std::string> names;
  for (const auto& [variant, source] : chat_template_sources(directory)) {
    if (!is_utf8(source.text)) throw Error(source.name + ": is not UTF-8");
    const bool is_default = variant == "default";
    metadata.set("tokenizer.chat_template" + (is_default ? "" : "." + variant), source.text);
    if (!is_default) names.push_back(variant);
  }
  if (!names.empty()) metadata.set("tokenizer.chat_templates", std::span<const std::string>(names));
}

}  // namespace

void convert_tokenizer(const fs::path& directory, size_t vocab, GgufMetadata& metadata) {
  const TokenizerConfig config = read_tokenizer_config(directory);
  const fs::path model = directory / "tokenizer.model", json = directory / "tokenizer.json";
  std::optional<MappedFile> file;
  if (is_there(model)) file.emplace(model);
  if (file && is_sentencepiece(file->text())) {
    from_sentencepiece(*file, config, vocab, metadata);
  } else if (is_there(json)) {
    from_bpe(read_tokenizer_json(json), json.string(), read_json(json), config, vocab, metadata);
  } else if (file) {
    BpeParts parts = read_tiktoken(file->text(), file->path());
    if (parts.vocabulary.bos) parts.vocabulary.prefix = {*parts.vocabulary.bos};
    from_bpe(std::move(parts), file->path(), Json(), config, vocab, metadata);
  } else {
    throw Error(directory.string() + ": holds neither tokenizer.model nor tokenizer.json");
  }
  set_chat_templates(directory, metadata);
}

}  // namespace weft

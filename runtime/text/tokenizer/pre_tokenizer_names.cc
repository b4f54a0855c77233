#include "runtime/text/tokenizer/pre_tokenizer_names.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/text/tokenizer/unicode.h"

namespace weft {
namespace {

// llama.cpp's behaviour for files that name nothing or "default".
constexpr std::array<std::string_view, 1> kDefaultNames = {"default"};
const std::array<std::string_view, 4> kDefaultPatterns = {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Pattern, R"(\p{N}+)",
                                                          R"([0-9][0-9][0-9])"};
constexpr std::array<std::string_view, 8> kGpt2Names = {"gpt-2",   "gpt2",       "phi-2",      "jina-es",
                                                        "jina-de", "jina-v2-es", "jina-v2-de", "olmo"};
constexpr std::array<std::string_view, 6> kLlama3Names = {"llama-bpe", "llama3",  "llama-v3",
                                                          "falcon3",   "pixtral", "lfm2"};
constexpr std::array<std::string_view, 2> kSmaugNames = {"smaug-bpe", "dbrx"};
constexpr std::array<std::string_view, 5> kQwen2Names = {"qwen2", "deepseek-r1-qwen", "kormo", "megrez", "stablelm2"};
constexpr std::array<std::string_view, 1> kTekkenNames = {"tekken"};

const std::array<NamedPreTokenizer, 6>& kinds() {
  static const std::array<NamedPreTokenizer, 6> all = {{
      {.names = kDefaultNames, .patterns = kDefaultPatterns},
      {.names = kGpt2Names, .patterns = {&kGpt2Pattern, 1}},
      {.names = kLlama3Names, .patterns = {&kLlama3Pattern, 1}, .ignore_merges = true, .add_bos = true},
      {.names = kSmaugNames, .patterns = {&kLlama3Pattern, 1}},
      {.names = kQwen2Names, .patterns = {&kQwen2Pattern, 1}, .nfc = true},
      {.names = kTekkenNames, .patterns = {&kTekkenPattern, 1}, .ignore_merges = true, .add_bos = true},
  }};
  return all;
}

}  // namespace

const NamedPreTokenizer* find_pre_tokenizer(std::string_view name) {
  for (const NamedPreTokenizer& kind : kinds()) {
    if (std::find(kind.names.begin(), kind.names.end(), name) != kind.names.end()) return &kind;
  }
  return nullptr;
}

std::string unknown_pre_tokenizer(std::string_view name) {
  return "is " + in_quotes(name) + ", which this build does not know; it knows " + listed_pre_tokenizers(true);
}

const NamedPreTokenizer& wanted_pre_tokenizer(const TokenizerOptions& options) {
  if (const NamedPreTokenizer* kind = find_pre_tokenizer(options.pre_tokenizer)) return *kind;
  throw Error("the pre-tokenizer wanted " + unknown_pre_tokenizer(options.pre_tokenizer));
}

void set_pre_tokenizer(const NamedPreTokenizer& kind, BpeParts& parts) {
  parts.options.ignore_merges = kind.ignore_merges;
  parts.normalizers.clear();
  parts.pre_tokenizers.clear();
  if (kind.nfc) parts.normalizers.push_back([](std::string_view text) { return normalize(text, NormalForm::nfc); });
  for (const std::string_view pattern : kind.patterns) {
    parts.pre_tokenizers.push_back(split_at(Regex(pattern), SplitBehavior::isolated, false));
  }
}

void warn_of_pre_tokenizer(const TokenizerOptions& options, const char* reason, Vocabulary& vocabulary) {
  if (options.pre_tokenizer.empty()) return;
  wanted_pre_tokenizer(options);
  vocabulary.warnings.push_back(vocabulary.source + ": the tokenizer " + reason + ": --pre-tokenizer has no effect");
}

std::string listed_pre_tokenizers(bool all) {
  std::string text;
  for (const NamedPreTokenizer& kind : kinds()) {
    for (const std::string_view name : kind.names) {
      text += (text.empty() ? "" : ", ") + std::string(name);
      if (!all) break;
    }
  }
  return text;
}

std::vector<std::string> pre_tokenizer_names() {
  std::vector<std::string> names;
  for (const NamedPreTokenizer& kind : kinds()) names.insert(names.end(), kind.names.begin(), kind.names.end());
  return names;
}

}  // namespace weft

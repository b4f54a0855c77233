// The meaning of the names of tokenizer.ggml.pre.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "runtime/text/tokenizer/bpe_tokenizer.h"

namespace weft {

// How a byte-level tokenizer treats text, apart from its vocabulary.
struct NamedPreTokenizer {
  std::span<const std::string_view> names;
  std::span<const std::string_view> patterns;  // each cuts the words that the previous ones left
  bool ignore_merges = false;
  bool add_bos = false;  // unless the file says otherwise
  bool nfc = false;      // as the tokenizer.json of these models has it
};

// Null for an unknown name.
const NamedPreTokenizer* find_pre_tokenizer(std::string_view name);
// "is 'NAME', which ...", with the names that are known.
std::string unknown_pre_tokenizer(std::string_view name);
// The one that the options name. Throws Error for an unknown name.
const NamedPreTokenizer& wanted_pre_tokenizer(const TokenizerOptions& options);

// Makes `parts` cut text this way, replacing what they did before.
void set_pre_tokenizer(const NamedPreTokenizer& kind, BpeParts& parts);

// For a tokenizer that ignores TokenizerOptions::pre_tokenizer: adds the warning that it "REASON".
void warn_of_pre_tokenizer(const TokenizerOptions& options, const char* reason, Vocabulary& vocabulary);

// The names, separated by ", ": all, or only the first of those that mean the same.
std::string listed_pre_tokenizers(bool all);

}  // namespace weft

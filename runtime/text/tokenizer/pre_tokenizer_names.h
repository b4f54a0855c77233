// What the names of tokenizer.ggml.pre stand for.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "runtime/text/tokenizer/bpe_tokenizer.h"

namespace weft {

// How a byte-level tokenizer treats text, apart from its vocabulary.
struct NamedPreTokenizer {
  std::span<const std::string_view> names;
  std::span<const std::string_view> patterns;  // each cuts the words that those before left
  bool ignore_merges = false;
  bool add_bos = false;  // unless the file says otherwise
  bool nfc = false;      // as the tokenizer.json of these models has it
};

// Null for a name that is not known.
const NamedPreTokenizer* find_pre_tokenizer(std::string_view name);
// "is 'NAME', which ...", with the names that are known.
std::string unknown_pre_tokenizer(std::string_view name);
// That of the options, which name one. Throws Error for a name that is not known.
const NamedPreTokenizer& wanted_pre_tokenizer(const TokenizerOptions& options);

// Makes parts cut text so, in place of what they did before.
void set_pre_tokenizer(const NamedPreTokenizer& kind, BpeParts& parts);

// For a tokenizer that has no use for TokenizerOptions::pre_tokenizer: adds the warning that it "REASON".
void warn_of_pre_tokenizer(const TokenizerOptions& options, const char* reason, Vocabulary& vocabulary);

// The names, separated by ", ": all, or only the first of those that mean the same.
std::string listed_pre_tokenizers(bool all);

}  // namespace weft

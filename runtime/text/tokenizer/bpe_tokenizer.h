// Tokenizers that cut text into words and merge within each: byte-level BPE and Hugging Face's SentencePiece-like BPE.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/files/gguf.h"
#include "runtime/text/tokenizer/added_tokens.h"
#include "runtime/text/tokenizer/bpe_model.h"
#include "runtime/text/tokenizer/normalizer.h"
#include "runtime/text/tokenizer/pre_tokenizer.h"
#include "runtime/text/tokenizer/tokenizer.h"
#include "runtime/text/tokenizer/vocabulary.h"

namespace weft {

// What a file describes. Text that is not UTF-8 is read with U+FFFD for its invalid parts, as in Hugging Face's
// library. Then: added tokens, normalization, added tokens in normalized text, words, merges.
struct BpeParts {
  // What decoding keeps of the first token that is not special.
  enum class Start : uint8_t {
    all,
    strip,  // all but one leading `mark`
    drop,   // all but its marks
  };

  Vocabulary vocabulary;
  std::vector<std::string> bytes;  // per token what it decodes to
  Start start = Start::all;
  std::string mark;
  std::vector<AddedToken> added;
  std::vector<Normalizer> normalizers;
  std::vector<PreTokenizer> pre_tokenizers;
  TextIndex ids;
  std::vector<BpeModel::Merge> merges;
  BpeOptions options;
};

std::unique_ptr<Tokenizer> make_bpe_tokenizer(BpeParts parts);

// The words of a merge as files write it, "Ġ t": two tokens with a space between; the first may begin with one.
// Adds the merge, ranked after the existing ones. Throws Error, saying which token, for one that is not in `ids`.
void add_merge(std::string_view left, std::string_view right, const TextIndex& ids,
               std::vector<BpeModel::Merge>& merges);
void add_merge(std::string_view both, const TextIndex& ids, std::vector<BpeModel::Merge>& merges);

// The ids of byte-level tokens by their bytes, from `ids` by their text. Tokens with characters outside the
// alphabet are left out: no text becomes them.
TextIndex byte_level_ids(const TextIndex& ids);

// What byte-level tokens decode to: their bytes; nothing for control tokens; the text itself for user-defined ones
// and those with characters outside the alphabet.
std::vector<std::string> byte_level_bytes(const Vocabulary& vocabulary);

// tokenizer.ggml.model "gpt2": tokenizer.ggml.pre names the pattern.
std::unique_ptr<Tokenizer> load_bpe_tokenizer(const GgufFile& file, const TokenizerOptions& options);

}  // namespace weft

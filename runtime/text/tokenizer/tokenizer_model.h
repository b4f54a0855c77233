// tokenizer.model, which is one of two formats: SentencePiece's protobuf, or tiktoken's text as Llama-3 has it.
#pragma once

#include <string>
#include <string_view>

#include "runtime/text/tokenizer/bpe_tokenizer.h"
#include "runtime/text/tokenizer/vocabulary.h"

namespace weft {

struct SentencePieceModel {
  Vocabulary vocabulary;
  bool space_prefix = true;  // a space before the text
};

// Reads the protobuf (sentencepiece_model.proto of https://github.com/google/sentencepiece). `source` names the file
// in errors. Throws Error, naming byte or piece, for data that is malformed, for models other than BPE, and for
// normalizations that would change the text (a charsmap, removal of extra spaces).
SentencePieceModel read_sentencepiece(std::string_view data, const std::string& source);

// Reads lines "BASE64 RANK"; the special tokens of Llama 3 follow the last rank. Throws Error, naming the line.
BpeParts read_tiktoken(std::string_view text, const std::string& source);

// Distinguishes the two: a protobuf begins with the tag of its first piece, which cannot begin base64.
inline bool is_sentencepiece(std::string_view data) { return data.starts_with('\n'); }

}  // namespace weft

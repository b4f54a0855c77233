// The tokens of a model, as its file lists them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/gguf.h"

namespace weft {

// Numbered as in SentencePiece and GGUF.
enum class TokenType : uint8_t { normal = 1, unknown, control, user_defined, unused, byte };

struct Vocabulary {
  std::string source;              // the file, for messages
  std::vector<std::string> texts;  // [vocab] as stored (SentencePiece writes a space as U+2581)
  std::vector<float> scores;       // [vocab], none NaN; empty if the file has none
  std::vector<TokenType> types;    // [vocab]
  std::optional<int32_t> bos, eos, unknown;
  std::vector<int32_t> prefix, suffix;  // what `encode` with add_special puts first and last
  std::vector<int32_t> ends;            // end-of-generation tokens, in the order of ids: eos, <|eot_id|>, <|im_end|> ...

  size_t size() const { return texts.size(); }
};

// What holds where the file says nothing.
struct VocabularyDefaults {
  bool add_bos = false;
  bool add_eos = false;
  // Used only where the token of that id has the matching type (control, control, unknown).
  std::optional<int32_t> bos, eos, unknown;
};

// Adds to `ends` what generation ends with whatever the file says: eos, and control tokens with the names that
// chat models use for the end of a turn.
void add_known_ends(Vocabulary& vocabulary);

// Reads tokenizer.ggml.{tokens,scores,token_type,*_token_id,add_*_token}. Throws Error, naming file and key,
// for absent tokens, arrays of unequal length, a token that is not UTF-8, a type or id out of range, a NaN
// score. An id of 2^32-1 means "none", as old converters write it.
Vocabulary read_vocabulary(const GgufFile& file, const VocabularyDefaults& defaults);

// The value of a token named "<0x0A>", nothing for any other text.
std::optional<uint8_t> byte_token_value(std::string_view text);

}  // namespace weft

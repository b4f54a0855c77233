// The tokens of a model, as its file lists them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/files/gguf.h"

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
  std::vector<int32_t> ends;          // end-of-generation tokens, in the order of ids: eos, <|eot_id|>, <|im_end|> ...
  std::vector<std::string> warnings;  // a line each: what the file left open, or what it says that has no effect

  size_t size() const { return texts.size(); }
};

// Defaults where the file says nothing.
struct VocabularyDefaults {
  bool add_bos = false;
  bool add_eos = false;
  // Used only where the token of that id has the matching type (control, control, unknown).
  std::optional<int32_t> bos, eos, unknown;
};

// Whether a text is known as that of a token which ends a turn of a chat, or a text: "<|im_end|>".
bool is_known_end(std::string_view text);

// Adds to `ends` the tokens that end generation whatever the file says: eos, and the tokens whose texts are known
// to end a turn. Whatever their type was, these become control tokens: not text, and found in text only where
// special tokens are. `is_merged`: whether merges produce a text; a normal token with that text is then a piece of
// ordinary text. Empty: none.
void add_known_ends(Vocabulary& vocabulary, const std::function<bool(std::string_view)>& is_merged = nullptr);

// Reads tokenizer.ggml.{tokens,scores,token_type,*_token_id,*_token_ids,add_*_token}. Throws Error, naming file and
// key, for absent tokens, arrays of unequal length, a token that is not UTF-8, a type or id out of range, a NaN score.
// An id of 2^32-1 means "none", as old converters write it.
Vocabulary read_vocabulary(const GgufFile& file, const VocabularyDefaults& defaults);

// The value of a token named "<0x0A>", nothing for any other text.
std::optional<uint8_t> byte_token_value(std::string_view text);

}  // namespace weft

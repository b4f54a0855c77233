// What the JSON files beside a tokenizer say of it: tokenizer_config.json, generation_config.json, config.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "runtime/tokenizer/added_tokens.h"
#include "runtime/tokenizer/vocabulary.h"

namespace weft {

struct TokenizerConfig {
  std::string source;  // tokenizer_config.json's path, for messages
  std::optional<std::string> bos, eos;
  std::optional<bool> add_bos, add_eos;
  bool add_prefix_space = false;
  std::vector<AddedToken> added;  // added_tokens_decoder
  std::string tokenizer_class;    // "Qwen2TokenizerFast"; empty if not said
  std::string model_type;         // of config.json: "qwen2"
  // Of generation_config.json, else of config.json. The first of the latter is eos where nothing else says.
  std::optional<int32_t> bos_id;
  std::vector<int32_t> eos_ids;
};

// Files that are absent say nothing. Throws Error, naming file and JSON path, for values of the wrong type.
TokenizerConfig read_tokenizer_config(const std::filesystem::path& directory);

// Adds to the vocabulary the added tokens that it lacks (a hole between ids becomes unused tokens), and sets bos, eos
// and ends. Gives the tokens that it did not know as added ones before. Throws Error for a token of another id than
// the vocabulary's, a name that is no token, or an id outside the vocabulary.
std::vector<AddedToken> apply_config(const TokenizerConfig& config, Vocabulary& vocabulary);

}  // namespace weft

// What the JSON files beside a tokenizer say about it: tokenizer_config.json, generation_config.json, config.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/text/tokenizer/added_tokens.h"
#include "runtime/text/tokenizer/bpe_tokenizer.h"
#include "runtime/text/tokenizer/vocabulary.h"

namespace weft {

struct TokenizerConfig {
  std::string source;  // tokenizer_config.json's path, for messages
  std::optional<std::string> bos, eos;
  std::optional<bool> add_bos, add_eos;
  bool add_prefix_space = false;
  std::vector<AddedToken> added;  // added_tokens_decoder
  std::string tokenizer_class;    // "Qwen2TokenizerFast"; empty if not stated
  std::string model_type;         // of config.json: "qwen2"
  // Of generation_config.json, else of config.json. The first one is eos if nothing else states it.
  std::optional<int32_t> bos_id;
  std::vector<int32_t> eos_ids;
};

// Absent files say nothing. Throws Error, naming file and JSON path, for values of the wrong type.
TokenizerConfig read_tokenizer_config(const std::filesystem::path& directory);

// Which ids added tokens get that the vocabulary lacks: those in the file, where a gap is filled with unused
// tokens; or the next free ones, as in Hugging Face's library beside a tokenizer.json.
enum class AddedIds : uint8_t { of_file, next };

// Adds to the vocabulary the added tokens that it lacks, and sets bos, eos and ends (`is_merged` as for
// add_known_ends). A token that it has keeps its id. Returns the tokens that were not known as added ones before,
// or were known differently. Throws Error for an id of the file that another token has, a name that is not a
// token, or an id outside the vocabulary.
std::vector<AddedToken> apply_config(const TokenizerConfig& config, Vocabulary& vocabulary,
                                     AddedIds added = AddedIds::of_file,
                                     const std::function<bool(std::string_view)>& is_merged = nullptr);

// The same for all parts of a tokenizer.
void apply_config(const TokenizerConfig& config, BpeParts& parts, AddedIds added = AddedIds::of_file);

}  // namespace weft

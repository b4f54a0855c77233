// What reading and converting a model's files needs to know about its family, besides its weights: models/NAME.h
// declares it, and the registry of architectures adds it here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/files/checkpoint.h"

namespace weft {

// A hyperparameter's name in GGUF files, without the architecture prefix, and its names in config.json. For a key that
// all families have, these names are taken besides the usual ones.
struct ConfigKey {
  std::string_view gguf;
  std::vector<std::string_view> hugging_face;
};

struct ModelFamily {
  std::string_view name = {};                      // as architecture() returns it; set by the registry
  std::vector<std::string_view> model_types = {};  // in config.json; if empty, the name
  std::string_view gguf = {};                      // general.architecture in GGUF files; if empty, the name
  // Where families share an architecture's name in GGUF files: a key that is above 0 in the files of this one.
  std::string_view gguf_mark = {};
  std::vector<ConfigKey> keys = {};
  // Keys of either convention that change nothing in models of this family.
  std::vector<std::string_view> ignored = {};
  // What Hugging Face's names of tensors begin with, heads apart: the first of these that the file has; if it has none
  // of them, nothing. Then, for those of layer 3: the first of the others that the file has, and "3.".
  std::vector<std::string_view> prefixes = {};
  std::vector<std::string_view> layer_prefixes = {"model.layers."};
  // The defaults of Hugging Face transformers for keys that config.json lacks (or has as null).
  std::vector<std::pair<std::string_view, ConfigValue>> assumed = {};
  // The defaults of llama.cpp for keys that GGUF files lack.
  std::vector<std::pair<std::string_view, ConfigValue>> gguf_assumed = {};
  // How vocab.json and merges.txt cut text without a tokenizer_class, as a name of tokenizer.ggml.pre; empty:
  // unknown.
  std::string_view pre_tokenizer = {};
  // Whether the quantization mixes of llama.cpp take a model for their "70B", whose attention values get more bits;
  // null: they never do.
  bool (*is_70b)(int64_t layers, int64_t heads, int64_t kv_heads) = nullptr;

  std::string_view gguf_name() const { return gguf.empty() ? name : gguf; }
};

// The last declaration of a name wins.
void declare_family(ModelFamily family);
const ModelFamily* find_family(std::string_view name);  // null if there is none
// The families of files with such a name, sorted by name; the latter leaves out those whose mark is missing.
const ModelFamily* family_of_model_type(std::string_view model_type);
const ModelFamily* family_of_gguf(std::string_view architecture,
                                  const std::map<std::string, ConfigValue, std::less<>>& config);

}  // namespace weft

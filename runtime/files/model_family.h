// What reading and converting a model's files takes to know of its family, beside its weights: models/NAME.h declares it,
// and the registry of architectures makes it known here.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/files/checkpoint.h"

namespace weft {

// A hyperparameter's name in GGUF files, without the architecture in front, and its names in config.json.
struct ConfigKey {
  std::string_view gguf;
  std::vector<std::string_view> hugging_face;
};

struct ModelFamily {
  std::string_view name = {};                      // as architecture() says; set by the registry
  std::vector<std::string_view> model_types = {};  // in config.json; none: the name
  std::string_view gguf = {};                      // general.architecture in GGUF files; empty: the name
  // Of GGUF files that families share an architecture's name in, those where this key is above 0.
  std::string_view gguf_mark = {};
  std::vector<ConfigKey> keys = {};  // beside those that all families have
  // What Hugging Face transformers takes for keys that config.json does not have (not even as null).
  std::vector<std::pair<std::string_view, ConfigValue>> assumed = {};
  // What llama.cpp takes for keys that GGUF files do not have.
  std::vector<std::pair<std::string_view, ConfigValue>> gguf_assumed = {};
  // By tokenizer.ggml.pre's names, how vocab.json and merges.txt cut text where no tokenizer_class says it; empty: unknown.
  std::string_view pre_tokenizer = {};

  std::string_view gguf_name() const { return gguf.empty() ? name : gguf; }
};

// The last declaration of a name holds.
void declare_family(ModelFamily family);
const ModelFamily* find_family(std::string_view name);  // null if there is none
// The families whose files say this, in the order of names; the latter leaves out those whose mark is missing.
const ModelFamily* family_of_model_type(std::string_view model_type);
const ModelFamily* family_of_gguf(std::string_view architecture,
                                  const std::map<std::string, ConfigValue, std::less<>>& config);

}  // namespace weft

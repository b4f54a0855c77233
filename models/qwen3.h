// Qwen3 (arXiv:2505.09388): norms of each head's queries and keys, and no biases.
#pragma once

#include "models/parts/decoder.h"

namespace weft::qwen3 {

inline const ModelFamily family = {
    .assumed = {{"num_key_value_heads", int64_t{32}},
                {"head_dim", int64_t{128}},
                {"sliding_window", int64_t{4096}},
                {"use_sliding_window", false},
                {"max_window_layers", int64_t{28}}},
    .pre_tokenizer = "qwen2",
};

inline LanguageModel load(const std::shared_ptr<const Checkpoint>& file) {
  return load_decoder(ModelConfig(file), {.head_norms = true, .windows = {.allowed = true, .switches = true}});
}

}  // namespace weft::qwen3

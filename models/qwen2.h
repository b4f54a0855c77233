// Qwen2 and Qwen2.5 (arXiv:2407.10671, arXiv:2412.15115): biases of Q, K and V, half-split rotary pairs in every file,
// and windows from a certain layer on where `use_sliding_window` says so.
#pragma once

#include "models/parts/decoder.h"

namespace weft::qwen2 {

inline const ModelFamily family = {
    .assumed = {{"num_key_value_heads", int64_t{32}},
                {"sliding_window", int64_t{4096}},
                {"use_sliding_window", false},
                {"max_window_layers", int64_t{28}}},
    .pre_tokenizer = "qwen2",
    .is_70b = [](int64_t layers, int64_t, int64_t) { return layers == 80; },
};

inline LanguageModel load(const std::shared_ptr<const Checkpoint>& file) {
  return load_decoder(ModelConfig(file), {.qkv_biases = true, .windows = {.allowed = true, .switches = true}});
}

}  // namespace weft::qwen2

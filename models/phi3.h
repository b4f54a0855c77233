// Phi-3 (arXiv:2404.14219), 3.5 and Phi-4: Llama's layers with Q, K and V in one matrix, gate and up in another, a
// window in some, and contexts stretched by "longrope" in others. Half-split rotary pairs in every file.
#pragma once

#include "models/parts/decoder.h"

namespace weft::phi3 {

inline const ModelFamily family = {
    .assumed = {{"hidden_size", int64_t{3072}},
                {"intermediate_size", int64_t{8192}},
                {"num_hidden_layers", int64_t{32}},
                {"num_attention_heads", int64_t{32}},
                {"max_position_embeddings", int64_t{4096}},
                {"original_max_position_embeddings", int64_t{4096}},
                {"rms_norm_eps", 1e-5}},
};

inline LanguageModel load(const std::shared_ptr<const Checkpoint>& file) {
  return load_decoder(ModelConfig(file), {.fused_in_gguf = true, .windows = {.allowed = true}});
}

}  // namespace weft::phi3

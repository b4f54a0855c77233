// Mistral (Jiang et al. 2023, arXiv:2310.06825): Llama's layers with an independent head width and a sliding
// window. In GGUF files its architecture is "llama".
#pragma once

#include "models/parts/decoder.h"

namespace weft::mistral {

inline const ModelFamily family = {
    .gguf = "llama",
    .gguf_mark = "attention.sliding_window",
    .assumed = {{"num_key_value_heads", int64_t{8}}, {"sliding_window", int64_t{4096}}},
};

inline LanguageModel load(const std::shared_ptr<const Checkpoint>& file) {
  return load_decoder(ModelConfig(file), {.gguf_pairs = RopePairs::interleaved, .windows = {.allowed = true}});
}

}  // namespace weft::mistral

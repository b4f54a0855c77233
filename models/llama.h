// Llama 1, 2 and 3 (arXiv:2302.13971, arXiv:2307.09288, arXiv:2407.21783) and models with the same layers
// (TinyLlama). GGUF files order the rows of Q and K so that rotary pairs are neighbours.
#pragma once

#include "models/parts/decoder.h"

namespace weft::llama {

inline const ModelFamily family = {
    .is_70b = [](int64_t layers, int64_t heads, int64_t kv_heads) { return layers == 80 && heads != kv_heads; },
};

inline LanguageModel load(const std::shared_ptr<const Checkpoint>& file) {
  return load_decoder(ModelConfig(file), {.gguf_pairs = RopePairs::interleaved});
}

}  // namespace weft::llama

// An architecture that Weft does not come with: Llama's layers with GELU. Files whose general.architecture or
// model_type is "finch" are served by it.
#pragma once

#include "models/parts/decoder.h"

namespace weft::finch {

inline LanguageModel load(const std::shared_ptr<const Checkpoint>& file) {
  return load_decoder(ModelConfig(file), {.gguf_pairs = RopePairs::interleaved, .activation = Activation::gelu_tanh});
}

}  // namespace weft::finch

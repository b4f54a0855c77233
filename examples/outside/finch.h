// An architecture that Weft does not come with: Llama's layers with GELU. Files whose general.architecture or
// model_type is "finch" are served by it.
#pragma once

#include "models/parts/decoder.h"
#include "models/parts/feed_forward.h"

namespace weft::finch {

inline LanguageModel load(const std::shared_ptr<const Checkpoint>& file) {
  return load_decoder<Attention, GatedFeedForward<GeluTanh>>(file, {.gguf_pairs = RopePairs::interleaved});
}

}  // namespace weft::finch

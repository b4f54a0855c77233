// Mistral (Jiang et al. 2023, arXiv:2310.06825): Llama's layers with heads of a width of their own, and a sliding window.
// In GGUF files its architecture is "llama".
#pragma once

#include "models/parts/decoder.h"
#include "models/parts/feed_forward.h"

namespace weft::mistral {

inline LanguageModel load(const std::shared_ptr<const Checkpoint>& file) {
  return load_decoder<GatedFeedForward>(file, {.gguf_pairs = RopePairs::interleaved, .windows = true});
}

}  // namespace weft::mistral

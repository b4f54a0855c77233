// Qwen2 and Qwen2.5 (arXiv:2407.10671, arXiv:2412.15115): biases of Q, K and V, half-split rotary pairs in every file, and
// windows from a certain layer on where `use_sliding_window` says so.
#pragma once

#include "models/parts/decoder.h"
#include "models/parts/feed_forward.h"

namespace weft::qwen2 {

inline LanguageModel load(const std::shared_ptr<const Checkpoint>& file) {
  return load_decoder<GatedFeedForward>(
      file, {.gguf_pairs = RopePairs::half_split, .qkv_biases = true, .windows = true, .window_switches = true});
}

}  // namespace weft::qwen2

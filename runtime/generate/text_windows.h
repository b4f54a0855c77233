// A text in windows, evaluated by one engine or by several side by side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/generate/engine.h"

namespace weft {

// Consecutive windows of `window` tokens, as llama.cpp's perplexity has them: what does not fill one is dropped, the
// first token of each is replaced by BOS where the model adds one, and the predictions of the second half are scored.
class TextWindows {
 public:
  // `bos`: nothing for a model that adds none. Throws Error, naming the text, for one that is shorter than a window,
  // and for windows of fewer than 4 tokens, which have no second half to score.
  TextWindows(std::vector<int32_t> tokens, std::optional<int32_t> bos, size_t window, const std::string& text_name);

  size_t count() const { return tokens_.size() / window_; }
  size_t window() const { return window_; }
  size_t scored() const { return count() * (window_ - 1 - window_ / 2); }  // tokens
  int32_t token(size_t position) const { return tokens_[position]; }

  // `position`: of the token that is predicted, in the text. `logits`: a row of [vocab] for each engine, valid until
  // the function returns.
  using Visit = std::function<void(size_t position, std::span<const std::span<const float>> logits)>;

  // Evaluates one window on all engines, whose context must hold it, and visits the scored tokens in order. Logits are
  // kept for one chunk alone: as many rows as all engines can have (EngineOptions::batch and logit_rows).
  void evaluate(size_t index, std::span<Engine> engines, const Visit& visit) const;

 private:
  std::vector<int32_t> tokens_;
  size_t window_;
};

}  // namespace weft

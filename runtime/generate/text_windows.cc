#include "runtime/generate/text_windows.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace weft {

TextWindows::TextWindows(std::vector<int32_t> tokens, std::optional<int32_t> bos, size_t window,
                         const std::string& text_name)
    : tokens_(std::move(tokens)), window_(window) {
  if (window < 4) throw Error("windows of fewer than 4 tokens have no second half to score (-c)");
  if (tokens_.size() < window) {
    throw Error(text_name + " has " + std::to_string(tokens_.size()) + " tokens, fewer than one window of " +
                std::to_string(window) + " (-c)");
  }
  for (size_t begin = 0; bos && begin < tokens_.size(); begin += window) tokens_[begin] = *bos;
}

void TextWindows::evaluate(size_t index, std::span<Engine> engines, const Visit& visit) const {
  const size_t begin = index * window_, first_scored = begin + window_ / 2;
  std::vector<int32_t> sequences;
  size_t chunk = window_;
  for (Engine& engine : engines) {
    chunk = std::min(chunk, static_cast<size_t>(std::min(engine.batch(), engine.logit_rows())));
    sequences.push_back(engine.cache().open());
    engine.prefill(sequences.back(), std::span(tokens_).subspan(begin, first_scored - begin));
  }
  std::vector<std::span<const float>> logits(engines.size());
  // The logits of position i predict token i + 1, so those of the last position are not needed.
  for (size_t at = first_scored, last = begin + window_ - 1; at < last; at += chunk) {
    const std::span<const int32_t> part = std::span(tokens_).subspan(at, std::min(chunk, last - at));
    for (size_t e = 0; e < engines.size(); ++e) {
      engines[e].add(sequences[e], part, WantLogits::all);
      engines[e].run();
    }
    for (size_t i = 0; i < part.size(); ++i) {
      for (size_t e = 0; e < engines.size(); ++e) logits[e] = engines[e].logits(static_cast<int32_t>(i));
      visit(at + i + 1, logits);
    }
  }
  for (size_t e = 0; e < engines.size(); ++e) engines[e].cache().close(sequences[e]);
}

}  // namespace weft

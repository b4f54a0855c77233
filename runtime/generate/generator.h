// Text from a model: evaluates, chooses and decodes tokens, and ends the text at stop strings.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/generate/engine.h"
#include "runtime/generate/logprobs.h"
#include "runtime/generate/sampler.h"
#include "runtime/text/tokenizer/tokenizer.h"

namespace weft {

// A request for one reply. Empty functions are not called.
struct GenerationRequest {
  int32_t predict = -1;           // the most tokens; -1: no limit
  bool ignore_end = false;        // continue where the model ends the text
  std::vector<std::string> stop;  // texts that end the reply and are not part of it; see StopStrings
  int32_t logprobs = -1;          // how many of the most likely tokens on_token reports; -1: no log-probabilities
  // Every token that is part of the reply, including those of a stop string. `logprobs` is null if none were
  // requested.
  std::function<void(int32_t id, const TokenLogprobs* logprobs)> on_token = {};
  // The text that tokens have completed and that is not part of a stop string; at the end, what was held back.
  std::function<void(const std::string&)> on_text = {};
  std::function<bool()> interrupted = {};  // called after each token: true ends the reply
};

// One sequence of an engine. For one thread at a time.
class Generator {
 public:
  // Opens a sequence of the engine. `tokenizer` must outlive the generator; without one there are only ids: no
  // text, no stop strings, and no token that ends a reply. Throws Error for invalid options of the sampler,
  // and for an engine without logits.
  Generator(Engine engine, const SamplerOptions& sampler, const Tokenizer* tokenizer = nullptr);

  const Engine& engine() const { return engine_; }
  Plan& plan() { return engine_.plan(); }
  int32_t context() const { return engine_.context(); }
  const std::vector<int32_t>& cached() const { return cached_; }  // tokens whose keys and values are in the cache

  // Throws Error for an id outside the vocabulary.
  void check(std::span<const int32_t> ids) const;

  // Keeps the first `count` tokens of the cache; fewer where states are known after fewer, none where a window has
  // passed them. Returns how many are kept: the others are to be evaluated again.
  size_t trim(size_t count);

  // Evaluates tokens, at least one, after those in the cache; they must fit into the context. After each chunk,
  // `go_on` receives the number of tokens done; if it returns false before the last, prefill stops and returns
  // false.
  bool prefill(std::span<const int32_t> ids, const std::function<bool(size_t)>& go_on = {});

  enum class End : uint8_t { token, stop, limit, context, interrupted };
  struct Reply {
    size_t generated = 0, decoded = 0;  // tokens chosen (not counting one that ended the reply), and evaluated
    End end = End::token;
  };
  // Chooses and evaluates tokens, after a prefill, until the reply ends. The last one chosen is not evaluated.
  // `decoder` may have decoded earlier text (null: the reply's text is decoded on its own). Throws Error for stop
  // strings that StopStrings refuses, or without a tokenizer.
  Reply generate(const GenerationRequest& request, StreamDecoder* decoder = nullptr);

 private:
  Engine engine_;
  Sampler sampler_;
  const Tokenizer* tokenizer_;
  int32_t sequence_;
  std::vector<int32_t> cached_;
  std::span<const float> logits_;  // of the last token
};

// The text that a chosen token completes. Models may have more rows than their tokenizer has tokens (padding);
// tokens that the tokenizer lacks have no text, as in Hugging Face tokenizers.
std::string decoded(StreamDecoder& decoder, const Tokenizer& tokenizer, int32_t id);

}  // namespace weft

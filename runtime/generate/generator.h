// Text from a model: tokens are evaluated, chosen, decoded, and the text ends at stop strings.
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

// What is wanted of one reply. Empty functions are not called.
struct GenerationRequest {
  int32_t predict = -1;           // tokens at most; -1: no limit
  bool ignore_end = false;        // go on where the model ends the text
  std::vector<std::string> stop;  // texts that end the reply, and are not part of it; see StopStrings
  int32_t logprobs = -1;          // how many of the most likely tokens on_token is told of; -1: not even the chosen
  // Every token that is part of the reply, those of a stop string included. `logprobs` is null where none are wanted.
  std::function<void(int32_t id, const TokenLogprobs* logprobs)> on_token = {};
  // The text that tokens have completed and that is no part of a stop string; at the end, what was held back.
  std::function<void(const std::string&)> on_text = {};
  std::function<bool()> interrupted = {};  // asked after each token: true ends the reply
};

// One sequence of an engine. For one thread at a time.
class Generator {
 public:
  // Opens a sequence of the engine. `tokenizer` must outlive the generator; without one there are only ids: no text,
  // no stop strings, and no token that ends a reply. Throws Error for bad options of the sampler.
  Generator(Engine engine, const SamplerOptions& sampler, const Tokenizer* tokenizer = nullptr);

  const Engine& engine() const { return engine_; }
  int32_t context() const { return engine_.context(); }
  const std::vector<int32_t>& cached() const { return cached_; }  // tokens whose keys and values are in the cache

  // Throws Error for an id outside the vocabulary.
  void check(std::span<const int32_t> ids) const;

  // Keeps the first `count` tokens of the cache, or none where a window has left them behind. Returns how many are kept.
  size_t trim(size_t count);

  // Evaluates tokens, at least one, behind those in the cache; they fit into the context. `go_on` hears after each chunk
  // how many are done; where it says false before the last, the rest is left and so is the answer.
  bool prefill(std::span<const int32_t> ids, const std::function<bool(size_t)>& go_on = {});

  enum class End : uint8_t { token, stop, limit, context, interrupted };
  struct Reply {
    size_t generated = 0, decoded = 0;  // tokens chosen (less one that ended the reply), and evaluated
    End end = End::token;
  };
  // Chooses tokens and evaluates them, after a prefill, until the reply ends. The last one chosen is not evaluated.
  // `decoder` may have had the text before (null: the reply's text is decoded for itself). Throws Error for stop strings
  // that StopStrings refuses, or without a tokenizer.
  Reply generate(const GenerationRequest& request, StreamDecoder* decoder = nullptr);

 private:
  Engine engine_;
  Sampler sampler_;
  const Tokenizer* tokenizer_;
  int32_t sequence_;
  std::vector<int32_t> cached_;
  std::span<const float> logits_;  // of the last token
};

// The text that a chosen token completes. Models may have more rows than their tokenizer has tokens (padding); what the
// tokenizer does not have is no text, as in Hugging Face tokenizers.
std::string decoded(StreamDecoder& decoder, const Tokenizer& tokenizer, int32_t id);

}  // namespace weft

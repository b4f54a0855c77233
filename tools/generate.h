// The generation loop that `weft run` and `weft chat` share, and its flags.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "runtime/engine.h"
#include "runtime/sampler.h"
#include "tools/common.h"

namespace weft::tools {

struct GenerationFlags {
  int predict = -1;  // tokens at most; -1: no limit
  int context = 0;
  int batch = 512;
  SamplerOptions sampler;
  int64_t seed = 0;  // -1: a random one
};

// All but -n, whose meaning differs between commands.
void add_generation_flags(CLI::App& app, GenerationFlags& flags);
void add_predict_flag(CLI::App& app, GenerationFlags& flags, const std::string& help);

// Sets the sampler's seed. Throws CLI11's ValidationError (wrong usage) for values that no sampler takes: before
// anything is loaded.
void complete(GenerationFlags& flags);

// "17 tokens in 0.123 s, 138.2 tokens/s"
std::string rate(size_t tokens, double seconds);

// The text that a chosen token completes. Models may have more rows than their tokenizer has tokens (Qwen2's do); what
// the tokenizer does not have is no text, as in Hugging Face tokenizers.
std::string decoded(StreamDecoder& decoder, const Tokenizer& tokenizer, int32_t id);

// Figures on stderr: device and precision, the seed where it matters, peak memory.
void print_settings(const Device& device, const ModelFlags& model, const GenerationFlags& flags);
void print_memory();

// One sequence of one model.
class Generator {
 public:
  Generator(const LanguageModel& model, const Device& device, const ModelFlags& flags,
            const GenerationFlags& generation);

  int context() const { return engine_.context(); }
  const std::vector<int32_t>& cached() const { return cached_; }  // tokens whose keys and values are in the cache

  // Throws Error for an id outside the vocabulary.
  void check(std::span<const int32_t> ids) const;

  // Keeps the first `count` tokens of the cache, or none where a window has left them behind. Returns how many are kept.
  size_t trim(size_t count);

  // Evaluates tokens, at least one, behind those in the cache; they fit into the context. False: `interrupted` said so
  // between two chunks, and part of them is in the cache.
  bool prefill(std::span<const int32_t> ids, const std::function<bool()>& interrupted);

  enum class End : uint8_t { token, limit, context, interrupted };
  struct Reply {
    size_t generated = 0, decoded = 0;  // tokens chosen, and evaluated
    End end = End::token;
    double seconds = 0;
  };
  // Chooses tokens and evaluates them, after a prefill, until `ends` is true of one (which is not put), `predict` are
  // chosen, or the context is full. `put` gets each; false: it wants no more.
  Reply generate(int predict, const std::function<bool(int32_t)>& ends, const std::function<bool(int32_t)>& put);

 private:
  Engine engine_;
  Sampler sampler_;
  int64_t vocab_;
  int32_t sequence_;
  std::vector<int32_t> cached_;
  std::span<const float> logits_;  // of the last token
};

}  // namespace weft::tools

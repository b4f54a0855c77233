// Choosing the next token from logits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace weft {

// The filters apply in the order of the fields: penalty, top-k, top-p, min-p, temperature, draw. Their meaning and
// defaults are those of llama.cpp.
struct SamplerOptions {
  float repeat_penalty = 1.0f;  // > 0; a recent token's logit is divided by it if positive, else multiplied
  int repeat_last_n = 64;       // how many recent tokens count; 0: none, -1: all
  int top_k = 40;               // keep the k largest; <= 0: off
  float top_p = 0.95f;          // keep the fewest (one at least) that reach probability p, in [0, 1]; 1: off
  float min_p = 0.05f;          // keep those with at least min_p times the largest probability, in [0, 1]; 0: off
  float temp = 0.8f;            // softmax(logits / temp); <= 0: greedy, the lowest id wins a tie
  uint64_t seed = 0;
};

// Deterministic: the same options, logits and accepted ids give the same tokens with every compiler. `sample` and
// `accept` allocate nothing. For one thread at a time; samplers are independent of each other.
class Sampler {
 public:
  // `vocab`: extent of the logits. Throws Error, naming the option as a flag (--top-p), for an invalid value.
  Sampler(const SamplerOptions& options, size_t vocab);

  // logits[vocab], natural-log scale, -inf for a token that must not be chosen. Throws Error if the extent
  // differs, a logit is NaN or +inf, or all are -inf. Does not accept the token.
  int32_t sample(std::span<const float> logits);

  // Adds a token of the prompt or of the output to the window that the repetition penalty uses. Throws Error if id
  // is outside [0, vocab).
  void accept(int32_t id);

  // Empties that window: what is accepted next belongs to a different text.
  void forget();

  const SamplerOptions& options() const { return options_; }

 private:
  struct Candidate {
    float logit;
    int32_t id;
  };

  void gather(std::span<const float> logits);
  float penalized(float logit) const;
  int32_t greedy() const;
  void keep_top_k();
  void keep_top_p();
  void keep_min_p();
  int32_t draw();

  SamplerOptions options_;
  size_t vocab_;
  std::mt19937_64 random_;             // the standard fixes its output, unlike that of the distributions
  std::vector<Candidate> candidates_;  // the first count_ remain
  size_t count_ = 0;
  bool sorted_ = false;                // candidates by falling logit, then rising id; else by rising id
  std::vector<double> weights_;        // exp(logit - max) of the candidates
  std::vector<uint64_t> occurrences_;  // [vocab] how often a token is in the window
  std::vector<int32_t> window_;        // ring buffer of the last repeat_last_n accepted ids
  size_t window_next_ = 0;
  size_t window_count_ = 0;
};

}  // namespace weft

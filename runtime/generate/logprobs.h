// Log-probabilities of tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace weft {

struct TokenLogprob {
  int32_t id = 0;
  double logprob = 0;  // natural logarithm, at most 0; -infinity where the model rules the token out
};

// The model's log-probabilities of a token and of the most likely ones.
struct TokenLogprobs {
  TokenLogprob chosen;
  std::vector<TokenLogprob> best;  // by falling probability, then by rising id
};

// log(sum(exp(logits))) = largest + log_rest; kept apart, so that large logits lose no precision.
struct LogSumExp {
  double largest, log_rest;

  // log(softmax(logits)) of a logit that is part of the sum.
  double logprob(float logit) const { return static_cast<double>(logit) - largest - log_rest; }
};

// In double. Throws Error for a logit that is NaN or +inf, and if all are -inf, or there are none.
LogSumExp log_sum_exp(std::span<const float> logits);

// log(softmax(logits)), in double, of token `chosen` and of the `best` most likely ones (all if there are fewer).
// `logits` [vocab] are the model's, before a sampler changes them (penalty, filters, temperature). Throws Error
// for an id outside the vocabulary, and as log_sum_exp does.
TokenLogprobs token_logprobs(std::span<const float> logits, int32_t chosen, size_t best);

}  // namespace weft

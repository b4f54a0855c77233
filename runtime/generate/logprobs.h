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

// What a model said of a token and of those it held most likely.
struct TokenLogprobs {
  TokenLogprob chosen;
  std::vector<TokenLogprob> best;  // by falling probability, then by rising id
};

// log(softmax(logits)), in double, of token `chosen` and of the `best` most likely ones (all where there are fewer).
// `logits` [vocab] are the model's, so that what a sampler does to them (penalty, filters, temperature) does not
// count. Throws Error for an id outside the vocabulary, a logit that is NaN or +inf, and where all are -inf.
TokenLogprobs token_logprobs(std::span<const float> logits, int32_t chosen, size_t best);

}  // namespace weft

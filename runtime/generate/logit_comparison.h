// How far the logits of one run are from those of another, the reference: per token, and over a text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/generate/estimate.h"

namespace weft {

// Of the predictions of one token. All in double, in nats.
struct TokenComparison {
  double kl = 0;                               // Kullback-Leibler divergence, sum of p log(p / q), p the reference's
  bool same_top = false;                       // whether both find the same token most likely; of equal ones the first
  double nll_reference = 0, nll_compared = 0;  // negative log-likelihoods of the token
  // Of |compared - reference| over the vocabulary; logits that are -inf in both do not differ.
  double mean_difference = 0, largest_difference = 0;
  int32_t largest_id = 0;  // whose logit differs the most
};

// Compares rows of logits [vocab] by which token `id` is predicted. -inf rules a token out: kl is infinite where the
// reference allows a token that the other rules out. Throws Error for rows of different lengths, for an
// id outside the vocabulary, and as log_sum_exp does, saying in which of the two.
TokenComparison compare_logits(std::span<const float> reference, std::span<const float> compared, int32_t id);

struct LogitComparisonSummary {
  int64_t tokens = 0;
  Estimate kl;
  double kl_median = 0, kl_p99 = 0, kl_largest = 0;  // quantiles: the least value that so many do not exceed
  size_t kl_largest_at = 0;                          // position of the token
  Estimate same_top;                                 // share of the tokens, 0 to 1
  double mean_difference = 0, largest_difference = 0;
  size_t largest_at = 0;   // position of the token
  int32_t largest_id = 0;  // whose logit differs the most there
  Estimate perplexity_reference, perplexity_compared;
  // Mean log-likelihood of a token, compared less reference: of pairs, so that its error is not that of perplexities.
  Estimate log_likelihood_difference;
};

// Collects tokens; takes 8 bytes for each.
class LogitComparison {
 public:
  // `position`: of the token in its text.
  void add(size_t position, const TokenComparison& token);
  // Throws Error without any token.
  LogitComparisonSummary summary() const;

 private:
  std::vector<double> kls_;
  SampleMean kl_, same_top_, difference_, nll_reference_, nll_compared_, log_likelihood_difference_;
  double kl_largest_ = -1, largest_difference_ = -1;
  size_t kl_largest_at_ = 0, largest_at_ = 0;
  int32_t largest_id_ = 0;
};

}  // namespace weft

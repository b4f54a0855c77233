#include "runtime/generate/logit_comparison.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>

#include "core/error.h"
#include "runtime/generate/logprobs.h"

namespace weft {

namespace {

LogSumExp log_sum_exp_of(const char* side, std::span<const float> logits) {
  try {
    return log_sum_exp(logits);
  } catch (const Error& error) {
    throw Error(std::string(side) + ": " + error.what());
  }
}

// The least value that a share of all does not exceed.
double quantile(std::vector<double>& values, double share) {
  const double rank = std::ceil(share * static_cast<double>(values.size()));
  const auto at = values.begin() + static_cast<ptrdiff_t>(std::max(rank, 1.0)) - 1;
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

}  // namespace

TokenComparison compare_logits(std::span<const float> reference, std::span<const float> compared, int32_t id) {
  if (reference.size() != compared.size()) {
    throw Error("the reference has " + std::to_string(reference.size()) + " logits, the compared run " +
                std::to_string(compared.size()));
  }
  if (id < 0 || static_cast<size_t>(id) >= reference.size()) {
    throw Error("token " + std::to_string(id) + " is outside the vocabulary of " + std::to_string(reference.size()));
  }
  const LogSumExp p_sum = log_sum_exp_of("the reference", reference),
                  q_sum = log_sum_exp_of("the compared run", compared);
  TokenComparison result;
  double differences = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double log_p = p_sum.logprob(reference[i]), log_q = q_sum.logprob(compared[i]);
    if (const double p = std::exp(log_p); p > 0) result.kl += p * (log_p - log_q);
    if (reference[i] == compared[i]) continue;  // also where both are -inf
    const double difference = std::abs(static_cast<double>(compared[i]) - static_cast<double>(reference[i]));
    differences += difference;
    if (difference > result.largest_difference) {
      result.largest_difference = difference;
      result.largest_id = static_cast<int32_t>(i);
    }
  }
  result.kl = std::max(result.kl, 0.0);  // never negative but by rounding
  result.mean_difference = differences / static_cast<double>(reference.size());
  const auto top = [](std::span<const float> logits) { return std::ranges::max_element(logits) - logits.begin(); };
  result.same_top = top(reference) == top(compared);
  result.nll_reference = -p_sum.logprob(reference[static_cast<size_t>(id)]);
  result.nll_compared = -q_sum.logprob(compared[static_cast<size_t>(id)]);
  return result;
}

void LogitComparison::add(size_t position, const TokenComparison& token) {
  kls_.push_back(token.kl);
  kl_.add(token.kl);
  same_top_.add(token.same_top ? 1 : 0);
  difference_.add(token.mean_difference);
  nll_reference_.add(token.nll_reference);
  nll_compared_.add(token.nll_compared);
  // Where both rule the token out, they agree.
  const bool equal = token.nll_reference == token.nll_compared;
  log_likelihood_difference_.add(equal ? 0 : token.nll_reference - token.nll_compared);
  if (token.kl > kl_largest_) {
    kl_largest_ = token.kl;
    kl_largest_at_ = position;
  }
  if (token.largest_difference > largest_difference_) {
    largest_difference_ = token.largest_difference;
    largest_at_ = position;
    largest_id_ = token.largest_id;
  }
}

LogitComparisonSummary LogitComparison::summary() const {
  if (kls_.empty()) throw Error("no token was compared");
  std::vector<double> kls = kls_;
  return {.tokens = kl_.count(),
          .kl = kl_.mean(),
          .kl_median = quantile(kls, 0.5),
          .kl_p99 = quantile(kls, 0.99),
          .kl_largest = kl_largest_,
          .kl_largest_at = kl_largest_at_,
          .same_top = same_top_.mean(),
          .mean_difference = difference_.mean().value,
          .largest_difference = largest_difference_,
          .largest_at = largest_at_,
          .largest_id = largest_id_,
          .perplexity_reference = perplexity(nll_reference_),
          .perplexity_compared = perplexity(nll_compared_),
          .log_likelihood_difference = log_likelihood_difference_.mean()};
}

}  // namespace weft

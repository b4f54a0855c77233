#include "runtime/generate/logprobs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <ranges>
#include <string>

#include "core/error.h"

namespace weft {

LogSumExp log_sum_exp(std::span<const float> logits) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  float largest = -kInfinity;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] < kInfinity)) {
      throw Error("the logit of token " + std::to_string(i) + (std::isnan(logits[i]) ? " is NaN" : " is infinite"));
    }
    largest = std::max(largest, logits[i]);
  }
  if (largest == -kInfinity) throw Error("every logit is -inf: no token has a probability");
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  return {largest, std::log(sum)};
}

TokenLogprobs token_logprobs(std::span<const float> logits, int32_t chosen, size_t best) {
  if (chosen < 0 || static_cast<size_t>(chosen) >= logits.size()) {
    throw Error("token " + std::to_string(chosen) + " is outside the vocabulary of " + std::to_string(logits.size()));
  }
  const LogSumExp sum = log_sum_exp(logits);
  const auto entry = [&](int32_t id) { return TokenLogprob{id, sum.logprob(logits[static_cast<size_t>(id)])}; };
  std::vector<int32_t> ids(std::min(best, logits.size()));
  std::ranges::partial_sort_copy(std::views::iota(int32_t{0}, static_cast<int32_t>(logits.size())), ids,
                                 [&](int32_t a, int32_t b) {
                                   const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
                                   return x != y ? x > y : a < b;
                                 });
  TokenLogprobs result{entry(chosen), {}};
  for (const int32_t id : ids) result.best.push_back(entry(id));
  return result;
}

}  // namespace weft

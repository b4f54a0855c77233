#include "runtime/generate/logprobs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "tests/errors.h"

namespace weft {
namespace {

using test::error_of;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// log(softmax(logits)) as it is defined; the logits are small enough for exp.
std::vector<double> by_definition(const std::vector<float>& logits) {
  long double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<long double>(logit));
  std::vector<double> all;
  for (const float logit : logits) all.push_back(static_cast<double>(logit - std::log(sum)));
  return all;
}

TEST(Logprobs, AreThoseOfTheSoftmax) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 6);
  for (const size_t vocab : {1u, 2u, 19u, 5000u}) {
    std::vector<float> logits(vocab);
    for (float& logit : logits) logit = normal(random);
    const std::vector<double> want = by_definition(logits);
    const auto chosen = static_cast<int32_t>(vocab / 2);
    const TokenLogprobs got = token_logprobs(logits, chosen, 7);
    EXPECT_EQ(got.chosen.id, chosen);
    EXPECT_NEAR(got.chosen.logprob, want[vocab / 2], 1e-12);
    std::vector<double> sorted = want;
    std::sort(sorted.rbegin(), sorted.rend());
    ASSERT_EQ(got.best.size(), std::min<size_t>(vocab, 7));
    for (size_t i = 0; i < got.best.size(); ++i) {
      EXPECT_NEAR(got.best[i].logprob, sorted[i], 1e-12);
      EXPECT_NEAR(got.best[i].logprob, want[static_cast<size_t>(got.best[i].id)], 1e-12);
    }
  }
}

TEST(Logprobs, LargeLogitsDoNotOverflow) {
  const TokenLogprobs got = token_logprobs(std::vector<float>{3e38f, 3e38f, -3e38f}, 1, 3);
  EXPECT_NEAR(got.chosen.logprob, -std::log(2), 1e-15);
  EXPECT_LT(got.best[2].logprob, -1e38);
}

TEST(Logprobs, TiesGoByIdAndRuledOutTokensComeLast) {
  const std::vector<float> logits = {-kInfinity, 1, 2, 1, 2, -kInfinity};
  const TokenLogprobs got = token_logprobs(logits, 0, 100);
  EXPECT_EQ(got.chosen.logprob, -std::numeric_limits<double>::infinity());
  std::vector<int32_t> ids;
  for (const TokenLogprob& entry : got.best) ids.push_back(entry.id);
  EXPECT_EQ(ids, (std::vector<int32_t>{2, 4, 1, 3, 0, 5}));
  EXPECT_EQ(got.best[5].logprob, -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(token_logprobs(logits, 2, 0).best.empty());
}

TEST(Logprobs, WhatHasNoneIsAnError) {
  EXPECT_CONTAINS(error_of([] { token_logprobs(std::vector<float>{1, 2}, 2, 1); }), "token 2 is outside");
  EXPECT_CONTAINS(error_of([] { token_logprobs(std::vector<float>{1, 2}, -1, 1); }), "token -1 is outside");
  EXPECT_CONTAINS(error_of([] { token_logprobs(std::vector<float>{1, NAN}, 0, 1); }), "the logit of token 1 is NaN");
  EXPECT_CONTAINS(error_of([] { token_logprobs(std::vector<float>{kInfinity, 1}, 0, 1); }), "token 0 is infinite");
  EXPECT_CONTAINS(error_of([] { token_logprobs(std::vector<float>{-kInfinity, -kInfinity}, 0, 1); }), "every logit");
}

}  // namespace
}  // namespace weft

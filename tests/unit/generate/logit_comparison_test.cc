#include "runtime/generate/logit_comparison.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/errors.h"

namespace weft {
namespace {

using test::error_of;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr double kInfinite = std::numeric_limits<double>::infinity();

// Logits of given probabilities; `shift` changes nothing in them.
std::vector<float> logits_of(const std::vector<double>& probabilities, double shift = 0) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p) + shift));
  return logits;
}

TEST(LogitComparison, OfTwoSmallDistributions) {
  // 1/2 log(2) + 1/4 log(1/2) + 1/4 log(1) = 1/4 log(2)
  const TokenComparison result = compare_logits(logits_of({0.5, 0.25, 0.25}, 3), logits_of({0.25, 0.5, 0.25}, -2), 1);
  EXPECT_NEAR(result.kl, std::log(2) / 4, 1e-6);
  EXPECT_FALSE(result.same_top);
  EXPECT_NEAR(result.nll_reference, std::log(4), 1e-6);
  EXPECT_NEAR(result.nll_compared, std::log(2), 1e-6);
  // Differences of logits, unlike those of probabilities, have the shift in them: -5 and -log(2), log(2), 0.
  EXPECT_NEAR(result.mean_difference, 5, 1e-6);
  EXPECT_NEAR(result.largest_difference, 5 + std::log(2), 1e-6);
  EXPECT_EQ(result.largest_id, 0);
  // It is not symmetric: the other way round, of 9/10 and 1/2.
  EXPECT_NEAR(compare_logits(logits_of({0.9, 0.1}), logits_of({0.5, 0.5}), 0).kl,
              0.9 * std::log(1.8) + 0.1 * std::log(0.2), 1e-6);
  EXPECT_NEAR(compare_logits(logits_of({0.5, 0.5}), logits_of({0.9, 0.1}), 0).kl,
              0.5 * std::log(1 / 1.8) + 0.5 * std::log(5), 1e-6);
}

TEST(LogitComparison, OfTheSameIsZero) {
  const std::vector<float> logits = {1, -3, 2.5f, 1e30f, -kInfinity, 2.5f};
  const TokenComparison result = compare_logits(logits, logits, 4);
  EXPECT_EQ(result.kl, 0);
  EXPECT_TRUE(result.same_top);
  EXPECT_EQ(result.mean_difference, 0);
  EXPECT_EQ(result.largest_difference, 0);
  EXPECT_EQ(result.nll_reference, kInfinite);
}

TEST(LogitComparison, TokensThatAreRuledOut) {
  const std::vector<float> all = logits_of({0.5, 0.25, 0.25}), two = {all[0], all[1], -kInfinity};
  // The reference's two tokens have 2/3 and 1/3; the other gives them 3/4 as much.
  const TokenComparison fewer = compare_logits(two, all, 0);
  EXPECT_NEAR(fewer.kl, std::log(4.0 / 3), 1e-6);
  EXPECT_EQ(fewer.largest_difference, kInfinite);
  EXPECT_EQ(fewer.largest_id, 2);
  EXPECT_EQ(compare_logits(all, two, 0).kl, kInfinite);
  EXPECT_EQ(compare_logits(two, two, 0).mean_difference, 0);
}

TEST(LogitComparison, EqualLogitsAreTakenInOrder) {
  EXPECT_TRUE(compare_logits(std::vector<float>{2, 2, 1}, std::vector<float>{3, 1, 1}, 0).same_top);
  EXPECT_FALSE(compare_logits(std::vector<float>{2, 2, 1}, std::vector<float>{1, 3, 1}, 0).same_top);
}

TEST(LogitComparison, WhatHasNoDistributionIsAnError) {
  const std::vector<float> good = {1, 2}, nan = {1, std::nanf("")}, none = {-kInfinity, -kInfinity};
  EXPECT_EQ(error_of([&] { compare_logits(nan, good, 0); }), "the reference: the logit of token 1 is NaN");
  EXPECT_EQ(error_of([&] { compare_logits(good, nan, 0); }), "the compared run: the logit of token 1 is NaN");
  EXPECT_CONTAINS(error_of([&] { compare_logits(good, none, 0); }), "the compared run: every logit is -inf");
  EXPECT_CONTAINS(error_of([&] { compare_logits(good, std::vector<float>{1}, 0); }), "2 logits, the compared run 1");
  EXPECT_CONTAINS(error_of([&] { compare_logits(good, good, 2); }), "token 2 is outside the vocabulary of 2");
  EXPECT_EQ(error_of([] { LogitComparison().summary(); }), "no token was compared");
}

TEST(LogitComparison, SummaryOfManyTokens) {
  LogitComparison comparison;
  constexpr int kTokens = 200;
  for (int i = 0; i < kTokens; ++i) {
    TokenComparison token;
    token.kl = (i * 7) % kTokens;  // each of 0 to 199 once; 199 at i = 57
    token.same_top = i % 4 != 0;
    token.nll_reference = i % 2;
    token.nll_compared = i % 2 + (i % 4 < 2 ? 0.5 : -0.25);
    token.mean_difference = i;
    token.largest_difference = i == 30 ? 9 : 1;
    token.largest_id = i + 1;
    comparison.add(1000 + static_cast<size_t>(i), token);
  }
  const LogitComparisonSummary s = comparison.summary();
  EXPECT_EQ(s.tokens, kTokens);
  EXPECT_NEAR(s.kl.value, 99.5, 1e-9);
  EXPECT_NEAR(s.kl.error, std::sqrt((kTokens * kTokens - 1) / 12.0 / (kTokens - 1)), 1e-9);
  EXPECT_EQ(s.kl_median, 99);  // 100 of 200 do not exceed it
  EXPECT_EQ(s.kl_p99, 197);
  EXPECT_EQ(s.kl_largest, 199);
  EXPECT_EQ(s.kl_largest_at, 1057u);
  EXPECT_NEAR(s.same_top.value, 0.75, 1e-12);
  EXPECT_NEAR(s.same_top.error, std::sqrt(0.75 * 0.25 / (kTokens - 1)), 1e-12);
  EXPECT_NEAR(s.mean_difference, 99.5, 1e-9);
  EXPECT_EQ(s.largest_difference, 9);
  EXPECT_EQ(s.largest_at, 1030u);
  EXPECT_EQ(s.largest_id, 31);
  EXPECT_NEAR(s.perplexity_reference.value, std::exp(0.5), 1e-12);
  EXPECT_NEAR(s.perplexity_compared.value, std::exp(0.625), 1e-12);
  // Of pairs: half of them -0.5, half 0.25.
  EXPECT_NEAR(s.log_likelihood_difference.value, -0.125, 1e-12);
  EXPECT_NEAR(s.log_likelihood_difference.error, 0.375 / std::sqrt(kTokens - 1), 1e-12);
}

// Where both rule the next token out, their likelihoods do not differ.
TEST(LogitComparison, SummaryWithImpossibleTokens) {
  LogitComparison comparison;
  comparison.add(1, compare_logits(std::vector<float>{1, -kInfinity}, std::vector<float>{1, -kInfinity}, 1));
  comparison.add(2, compare_logits(std::vector<float>{0, 0}, std::vector<float>{0, 0}, 1));
  const LogitComparisonSummary s = comparison.summary();
  EXPECT_EQ(s.log_likelihood_difference.value, 0);
  EXPECT_EQ(s.log_likelihood_difference.error, 0);
  EXPECT_EQ(s.perplexity_reference.value, kInfinite);
  EXPECT_EQ(s.kl.value, 0);
}

}  // namespace
}  // namespace weft

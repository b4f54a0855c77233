#include "runtime/generate/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/allocation_counter.h"
#include "tests/errors.h"

namespace weft::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Everything off: plain softmax sampling.
SamplerOptions plain() { return {.repeat_penalty = 1, .top_k = 0, .top_p = 1, .min_p = 0, .temp = 1, .seed = 42}; }

std::vector<double> frequencies(Sampler& sampler, const std::vector<float>& logits, int draws = 20000) {
  std::vector<double> counts(logits.size());
  for (int i = 0; i < draws; ++i) counts[static_cast<size_t>(sampler.sample(logits))] += 1.0 / draws;
  return counts;
}

void expect_distribution(Sampler& sampler, const std::vector<float>& logits, const std::vector<double>& wanted) {
  const std::vector<double> found = frequencies(sampler, logits);
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_NEAR(found[i], wanted[i], wanted[i] == 0 ? 0 : 0.015) << i;  // over 4 standard deviations
  }
}

// Logits whose softmax is `probabilities`.
std::vector<float> logits_of(std::vector<double> probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p) + 3));
  return logits;
}

TEST(Sampler, GreedyTakesTheLowestOfEqualIds) {
  SamplerOptions options;
  options.temp = 0;
  Sampler sampler(options, 5);
  EXPECT_EQ(sampler.sample(std::vector<float>{0, 3, 1, 3, -1}), 1);
  EXPECT_EQ(sampler.sample(std::vector<float>{-kInfinity, -kInfinity, -5, -kInfinity, -5}), 2);
  EXPECT_EQ(sampler.sample(std::vector<float>{0, 0, 0, 0, 0}), 0);
  options.temp = -1;
  EXPECT_EQ(Sampler(options, 2).sample(std::vector<float>{1, 2}), 1);
}

TEST(Sampler, PlainSoftmax) {
  Sampler sampler(plain(), 4);
  expect_distribution(sampler, logits_of({0.5, 0.3, 0.15, 0.05}), {0.5, 0.3, 0.15, 0.05});
  expect_distribution(sampler, {0, -kInfinity, 0, -kInfinity}, {0.5, 0, 0.5, 0});
}

TEST(Sampler, Temperature) {
  SamplerOptions options = plain();
  options.temp = 0.5f;
  Sampler sampler(options, 2);
  expect_distribution(sampler, logits_of({0.75, 0.25}), {0.9, 0.1});
  options.temp = 1e-38f;
  EXPECT_EQ(Sampler(options, 3).sample(std::vector<float>{1, 1.001f, 1}), 1);
}

TEST(Sampler, TopK) {
  SamplerOptions options = plain();
  options.top_k = 2;
  Sampler two(options, 4);
  expect_distribution(two, logits_of({0.1, 0.4, 0.3, 0.2}), {0, 4.0 / 7, 3.0 / 7, 0});
  expect_distribution(two, {1, 1, 1, 1}, {0.5, 0.5, 0, 0});  // the lower ids of equals
  options.top_k = 1;
  Sampler one(options, 4);
  expect_distribution(one, logits_of({0.1, 0.4, 0.3, 0.2}), {0, 1, 0, 0});
  options.top_k = -3;
  Sampler off(options, 2);
  expect_distribution(off, {0, 0}, {0.5, 0.5});
  options.top_k = 100;
  Sampler many(options, 2);
  expect_distribution(many, {0, 0}, {0.5, 0.5});
}

TEST(Sampler, TopP) {
  SamplerOptions options = plain();
  options.top_p = 0.6f;
  Sampler sampler(options, 4);
  expect_distribution(sampler, logits_of({0.1, 0.5, 0.25, 0.15}), {0, 2.0 / 3, 1.0 / 3, 0});
  options.top_p = 1e-6f;
  Sampler least(options, 4);
  expect_distribution(least, logits_of({0.1, 0.5, 0.25, 0.15}), {0, 1, 0, 0});
}

// Some programs ask for the most likely token with it.
TEST(Sampler, TopPOfZeroIsGreedy) {
  for (const int top_k : {0, 3, 40}) {
    for (const float temp : {0.1f, 1.0f, 100.0f}) {
      SamplerOptions options = plain();
      options.top_p = 0;
      options.top_k = top_k;
      options.temp = temp;
      options.repeat_penalty = 2;
      Sampler sampler(options, 5);
      sampler.accept(1);
      for (int i = 0; i < 50; ++i) EXPECT_EQ(sampler.sample(std::vector<float>{0, 3, 2, 1, 2}), 2);
    }
  }
}

// top-p counts the probability among what top-k left, before the temperature.
TEST(Sampler, TopKThenTopPThenTemperature) {
  SamplerOptions options = plain();
  options.top_k = 3;
  options.top_p = 0.6f;
  options.temp = 100;
  Sampler sampler(options, 4);
  const double ratio = std::pow(0.3 / 0.35, 0.01);
  expect_distribution(sampler, logits_of({0.35, 0.3, 0.25, 0.1}), {1 / (1 + ratio), ratio / (1 + ratio), 0, 0});
}

TEST(Sampler, MinP) {
  SamplerOptions options = plain();
  options.min_p = 0.45f;
  Sampler sampler(options, 4);
  expect_distribution(sampler, logits_of({0.1, 0.5, 0.25, 0.15}), {0, 2.0 / 3, 1.0 / 3, 0});
  options.min_p = 1;
  Sampler most(options, 4);
  expect_distribution(most, {1, 2, 2, 0}, {0, 0.5, 0.5, 0});
}

TEST(Sampler, RepetitionPenalty) {
  SamplerOptions options;
  options.temp = 0;
  options.repeat_penalty = 2;
  options.repeat_last_n = 2;
  Sampler sampler(options, 4);
  const std::vector<float> logits = {4, 3, -1, -1.5f};
  EXPECT_EQ(sampler.sample(logits), 0);
  sampler.accept(0);
  EXPECT_EQ(sampler.sample(logits), 1);  // 2, 3
  sampler.accept(0);                     // twice is penalized once
  EXPECT_EQ(sampler.sample(std::vector<float>{4, 1.9f, -9, -9}), 0);
  sampler.accept(1);
  EXPECT_EQ(sampler.sample(logits), 0);  // 2, 1.5
  sampler.accept(2);                     // 0 has left the window
  EXPECT_EQ(sampler.sample(logits), 0);
  EXPECT_EQ(sampler.sample(std::vector<float>{-9, -9, -1, -1.5f}), 3);  // a negative logit is multiplied
  sampler.accept(0);
  EXPECT_EQ(sampler.sample(logits), 1);
  sampler.forget();
  EXPECT_EQ(sampler.sample(logits), 0);
}

TEST(Sampler, RepetitionWindowSizes) {
  SamplerOptions options;
  options.temp = 0;
  options.repeat_penalty = 2;
  const std::vector<float> logits = {4, 3};
  options.repeat_last_n = 0;
  Sampler none(options, 2);
  none.accept(0);
  EXPECT_EQ(none.sample(logits), 0);
  options.repeat_last_n = -1;
  Sampler all(options, 2);
  all.accept(0);
  for (int i = 0; i < 1000; ++i) all.accept(1);
  EXPECT_EQ(all.sample(std::vector<float>{4, 5}), 1);
  EXPECT_EQ(all.sample(std::vector<float>{4, 3}), 0);
  EXPECT_EQ(all.sample(std::vector<float>{4, -kInfinity}), 0);
}

TEST(Sampler, ExtremePenaltyStaysFinite) {
  SamplerOptions options = plain();
  options.repeat_penalty = std::numeric_limits<float>::max();
  Sampler sampler(options, 2);
  sampler.accept(0);
  sampler.accept(1);
  EXPECT_EQ(sampler.sample(std::vector<float>{1, -1e30f}), 0);
  options.repeat_penalty = std::numeric_limits<float>::denorm_min();
  Sampler tiny(options, 2);
  tiny.accept(0);
  EXPECT_EQ(tiny.sample(std::vector<float>{1, -1}), 0);
}

// The generator and the conversion are Weft's own or fixed by the standard, so these hold for every compiler.
TEST(Sampler, SequenceIsFixed) {
  SamplerOptions options;
  options.seed = 1234;
  Sampler a(options, 64), b(options, 64);
  std::vector<float> logits(64);
  for (size_t i = 0; i < 64; ++i) logits[i] = static_cast<float>((i * 37) % 64) / 16.0f;
  std::vector<int32_t> ids;
  for (int i = 0; i < 12; ++i) {
    ids.push_back(a.sample(logits));
    a.accept(ids.back());
    EXPECT_EQ(b.sample(logits), ids.back());
    b.accept(ids.back());
  }
  EXPECT_EQ(ids, (std::vector<int32_t>{1, 19, 58, 1, 57, 1, 34, 1, 38, 48, 1, 38}));
}

TEST(Sampler, BadLogits) {
  Sampler sampler(SamplerOptions{}, 3);
  EXPECT_CONTAINS(error_of([&] { sampler.sample(std::vector<float>{0, kNan, 0}); }), "token 1 is NaN");
  EXPECT_CONTAINS(error_of([&] { sampler.sample(std::vector<float>{0, 0, kInfinity}); }), "token 2 is infinite");
  EXPECT_CONTAINS(error_of([&] { sampler.sample(std::vector<float>(3, -kInfinity)); }), "every logit is -inf");
  EXPECT_CONTAINS(error_of([&] { sampler.sample(std::vector<float>(2)); }), "2 logits: the vocabulary has 3");
  EXPECT_CONTAINS(error_of([&] { sampler.accept(3); }), "token id 3");
  EXPECT_CONTAINS(error_of([&] { sampler.accept(-1); }), "token id -1");
  EXPECT_NO_THROW(sampler.sample(std::vector<float>(3)));  // still usable
}

TEST(Sampler, BadOptionsNameTheFlag) {
  const auto message = [](auto change, size_t vocab = 4) {
    SamplerOptions options;
    change(options);
    return error_of([&] { Sampler sampler(options, vocab); });
  };
  EXPECT_CONTAINS(message([](auto& o) { o.temp = kNan; }), "--temp is nan");
  EXPECT_CONTAINS(message([](auto& o) { o.temp = kInfinity; }), "--temp");
  for (const float p : {-0.5f, 1.5f, kNan, kInfinity}) {
    EXPECT_CONTAINS(message([&](auto& o) { o.top_p = p; }), "--top-p");
  }
  for (const float p : {-0.5f, 1.5f, kNan}) {
    EXPECT_CONTAINS(message([&](auto& o) { o.min_p = p; }), "--min-p");
  }
  for (const float p : {0.0f, -1.0f, kInfinity, kNan}) {
    EXPECT_CONTAINS(message([&](auto& o) { o.repeat_penalty = p; }), "--repeat-penalty");
  }
  EXPECT_CONTAINS(message([](auto& o) { o.repeat_last_n = -2; }), "--repeat-last-n is -2");
  EXPECT_CONTAINS(message([](auto& o) { o.repeat_last_n = 2000000000; }), "--repeat-last-n is 2000000000");
  EXPECT_CONTAINS(message([](auto&) {}, 0), "vocabulary of 0 tokens");
  EXPECT_EQ(message([](auto&) {}), "(no error)");
}

TEST(Sampler, AllocatesNothing) {
  std::vector<float> logits(32000);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>((i * 7919) % 1000) / 50.0f;
  for (const int top_k : {0, 1, 40, 40000}) {
    for (const float temp : {0.0f, 0.8f}) {
      SamplerOptions options;
      options.top_k = top_k;
      options.temp = temp;
      options.repeat_penalty = 1.1f;
      Sampler sampler(options, logits.size());
      const long before = allocations;
      for (int i = 0; i < 100; ++i) sampler.accept(sampler.sample(logits));
      EXPECT_EQ(allocations, before) << top_k << " " << temp;
    }
  }
}

}  // namespace
}  // namespace weft::test

#include "runtime/generate/generator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/utf8.h"
#include "tests/errors.h"
#include "tests/small_model.h"

namespace weft {
namespace {

using test::error_of;

// Of the small model's 19 tokens, with characters cut between some of them.
class SmallTokenizer final : public Tokenizer {
 public:
  explicit SmallTokenizer(std::vector<int32_t> ends = {}) : Tokenizer(vocabulary(std::move(ends)), texts()) {}

  static std::vector<std::string> texts() {
    return {" a", "b",        "cd", "e f",    "\xE2", "\x82", "\xAC",     "\xC3",     "\xBC", "g\n",
            "a",  "\xE2\x82", "hi", "\xAC j", "k",    "ab",   "\xF0\x9F", "\x98\x80", "."};
  }

 private:
  static Vocabulary vocabulary(std::vector<int32_t> ends) {
    Vocabulary vocabulary;
    vocabulary.texts = texts();
    vocabulary.types.assign(vocabulary.texts.size(), TokenType::normal);
    vocabulary.ends = std::move(ends);
    return vocabulary;
  }
  void encode_text(std::string_view, bool, std::vector<int32_t>&) const override {}
  std::string bytes_at_start(int32_t id) const override { return std::string(token_bytes(id)); }
};

Engine engine(int32_t context = 200) {
  EngineOptions options;
  options.precision = Precision::exact;
  options.context = context;
  options.batch = 4;
  return Engine(test::small_model(), Device::cpu(1), options);
}

const std::vector<int32_t> kPrompt = {3, 1, 4, 1, 5, 9};

SamplerOptions sampling(uint64_t seed) { return {.top_k = 0, .top_p = 1, .min_p = 0, .temp = 1.5f, .seed = seed}; }

struct Result {
  std::vector<int32_t> ids;
  std::string text;
  Generator::Reply reply;
  std::vector<int32_t> cached;
};

Result generate(GenerationRequest request, const SamplerOptions& sampler, const Tokenizer* tokenizer,
                int32_t context = 200) {
  Generator generator(engine(context), sampler, tokenizer);
  EXPECT_TRUE(generator.prefill(kPrompt));
  Result result;
  request.on_token = [&](int32_t id, const TokenLogprobs*) { result.ids.push_back(id); };
  request.on_text = [&](const std::string& text) { result.text += text; };
  result.reply = generator.generate(request);
  result.cached = generator.cached();
  return result;
}

// Every stop string that occurs in a text cuts it where it begins; tokens before are the same ones; and the cache holds
// the prompt and the tokens that were evaluated.
TEST(Generator, StopStringsCutTheText) {
  const SmallTokenizer tokenizer;
  GenerationRequest request;
  request.predict = 60;
  size_t across = 0, stopped = 0;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    request.stop.clear();
    const Result whole = generate(request, sampling(seed), &tokenizer);
    ASSERT_EQ(whole.reply.generated, 60u);
    ASSERT_EQ(whole.reply.end, Generator::End::limit);
    ASSERT_EQ(whole.text, tokenizer.decode(whole.ids));
    for (size_t begin = 0; begin + 8 < whole.text.size(); begin += 7) {
      for (const size_t length : {1u, 4u, 8u}) {
        const std::string text = whole.text.substr(begin, length);
        if (!is_utf8(text)) continue;
        request.stop = {"never", text};
        const Result cut = generate(request, sampling(seed), &tokenizer);
        ++stopped;
        ASSERT_EQ(cut.reply.end, Generator::End::stop);
        ASSERT_EQ(cut.text, whole.text.substr(0, whole.text.find(text)));
        ASSERT_TRUE(std::equal(cut.ids.begin(), cut.ids.end(), whole.ids.begin()));
        ASSERT_EQ(cut.reply.generated, cut.ids.size());
        // No token more than it took. (A character that is cut at the end decodes to U+FFFD.)
        const std::string before = tokenizer.decode(std::span(cut.ids).first(cut.ids.size() - 1));
        ASSERT_TRUE(before.find(text) == before.npos || text.find(kReplacementCharacter) != text.npos);
        std::vector<int32_t> cached = kPrompt;
        cached.insert(cached.end(), cut.ids.begin(), cut.ids.end() - 1);
        ASSERT_EQ(cut.cached, cached);
        across += tokenizer.token_bytes(cut.ids.back()).find(text) == std::string_view::npos;
      }
    }
  }
  EXPECT_GT(stopped, 100u);
  EXPECT_GT(across, 50u);
}

TEST(Generator, WhatWasHeldBackComesAtTheEnd) {
  const SmallTokenizer tokenizer;
  GenerationRequest request;
  request.predict = 20;
  const std::string whole = generate(request, sampling(1), &tokenizer).text;
  request.stop = {whole.substr(whole.size() - 1) + " and more"};
  if (!is_utf8(request.stop[0])) request.stop = {std::string(whole.substr(whole.size() - 3)) + " and more"};
  const Result result = generate(request, sampling(1), &tokenizer);
  EXPECT_EQ(result.text, whole);
  EXPECT_EQ(result.reply.end, Generator::End::limit);
}

TEST(Generator, EndsWhereItShould) {
  GenerationRequest request;
  const Result full = generate(request, sampling(2), nullptr, 20);
  EXPECT_EQ(full.reply.end, Generator::End::context);
  EXPECT_EQ(full.reply.generated, 20 - kPrompt.size() + 1);
  EXPECT_EQ(full.text, "");
  const SmallTokenizer ending({full.ids[5]});
  const auto first = std::find(full.ids.begin(), full.ids.end(), full.ids[5]) - full.ids.begin();
  const Result ended = generate(request, sampling(2), &ending, 20);
  EXPECT_EQ(ended.reply.end, Generator::End::token);
  EXPECT_EQ(ended.ids, std::vector<int32_t>(full.ids.begin(), full.ids.begin() + first));
  request.ignore_end = true;
  EXPECT_EQ(generate(request, sampling(2), &ending, 20).ids, full.ids);
  request.interrupted = [] { return true; };
  EXPECT_EQ(generate(request, sampling(2), &ending, 20).reply.end, Generator::End::interrupted);
  request.predict = 0;
  EXPECT_EQ(generate(request, sampling(2), &ending, 20).reply.generated, 0u);
}

// Against the logits of another engine; the sampler's settings do not matter.
TEST(Generator, LogprobsAreTheModels) {
  SamplerOptions sampler = sampling(4);
  sampler.temp = 3;
  sampler.top_k = 5;
  sampler.repeat_penalty = 1.5f;
  Generator generator(engine(), sampler);
  generator.prefill(kPrompt);
  std::vector<TokenLogprobs> got;
  GenerationRequest request;
  request.predict = 12;
  request.logprobs = 3;
  request.on_token = [&](int32_t id, const TokenLogprobs* logprobs) {
    ASSERT_NE(logprobs, nullptr);
    EXPECT_EQ(logprobs->chosen.id, id);
    got.push_back(*logprobs);
  };
  generator.generate(request);
  ASSERT_EQ(got.size(), 12u);
  Engine other = engine();
  const int32_t sequence = other.cache().open();
  std::span<const float> logits = other.prefill(sequence, kPrompt);
  for (const TokenLogprobs& token : got) {
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    const auto want = [&](int32_t id) { return logits[static_cast<size_t>(id)] - std::log(sum); };
    EXPECT_NEAR(token.chosen.logprob, want(token.chosen.id), 1e-4);
    ASSERT_EQ(token.best.size(), 3u);
    EXPECT_EQ(token.best[0].id, std::max_element(logits.begin(), logits.end()) - logits.begin());
    for (const TokenLogprob& best : token.best) EXPECT_NEAR(best.logprob, want(best.id), 1e-4);
    logits = other.decode(sequence, token.chosen.id);
  }
}

TEST(Generator, PrefillCanBeGivenUp) {
  Generator generator(engine(), sampling(1));
  std::vector<size_t> done;
  EXPECT_FALSE(generator.prefill(kPrompt, [&](size_t count) { return done.push_back(count), false; }));
  EXPECT_EQ(done, std::vector<size_t>{4});
  EXPECT_EQ(generator.cached(), std::vector<int32_t>(kPrompt.begin(), kPrompt.begin() + 4));
}

TEST(Generator, BadRequests) {
  Generator generator(engine(), sampling(1));
  GenerationRequest request;
  EXPECT_CONTAINS(error_of([&] { generator.generate(request); }), "needs a prompt");
  generator.prefill(kPrompt);
  request.stop = {"a"};
  EXPECT_CONTAINS(error_of([&] { generator.generate(request); }), "stop strings need a tokenizer");
  request.stop = {""};
  EXPECT_CONTAINS(error_of([&] { generator.generate(request); }), "empty");
  EXPECT_CONTAINS(error_of([&] { generator.check(std::vector<int32_t>{19}); }), "token 19 is outside");
  EXPECT_CONTAINS(error_of([&] { generator.check(std::vector<int32_t>{-1}); }), "token -1 is outside");
}

}  // namespace
}  // namespace weft

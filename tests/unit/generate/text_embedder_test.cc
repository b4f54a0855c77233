// Vectors of texts: pooling of hidden states over chunks, and what a model pools by itself.
#include "runtime/generate/text_embedder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "models/axes.h"
#include "models/parts/pooling.h"
#include "ops/ops.h"
#include "tests/errors.h"
#include "tests/gpu_device.h"
#include "tests/hand_model.h"

namespace weft {
namespace {

using test::error_of;

constexpr int64_t kVocab = 11, kEmbed = 6, kContext = 40;
enum class Kind { by_row, by_token, pooled, both, none };

Tensor<f32, Vocab, Embed> table(uint32_t seed) {
  Tensor<f32, Vocab, Embed> tensor({kVocab, kEmbed});
  std::mt19937 random(seed);
  for (float& x : tensor.values()) x = std::uniform_real_distribution<float>(-1, 1)(random);
  return tensor;
}

// A token's hidden state is the mean over the tokens that it sees, plus its own vector. What is called the embedding is
// -2 times the state of the row's token.
LanguageModel model_of(Kind kind, bool bidirectional) {
  Graph graph;
  const Batch batch(graph);
  const Cache<Field<Key, Embed>> cache(graph, batch, "kv");
  const auto x = materialize(at<Vocab>(table(1), batch.tokens));
  const auto [V] = materialize(append(cache, at<Vocab>(table(1), batch.tokens)));
  const auto mask = bidirectional ? where(V.pos() >= 0 && batch.pos >= 0, 0.0f, -inf)
                                  : where(V.pos() <= batch.pos && batch.pos >= 0, 0.0f, -inf);
  const auto a = materialize(contract<Key>(softmax<Key>(mask), V));
  const auto y = materialize(a + x);
  const auto row = materialize(at<Pos>(y, batch.last));
  const auto embedding = materialize(row * -2.0f);
  const auto logits = materialize(contract<Embed>(row, table(2)));
  LanguageModel model = test::hand_model(graph, batch, logits, kVocab, kContext);
  model.bidirectional = bidirectional;
  if (kind == Kind::by_row || kind == Kind::both) model.result("hidden", row);
  if (kind == Kind::by_token) model.result("hidden", y);
  if (kind == Kind::pooled || kind == Kind::both) model.result("embedding", embedding);
  return model;
}

std::vector<std::vector<double>> states(const std::vector<int32_t>& tokens, bool bidirectional) {
  const auto vectors = table(1);
  const auto element = [&](size_t t, size_t i) {
    return static_cast<double>(vectors.values()[static_cast<size_t>(tokens[t]) * kEmbed + i]);
  };
  std::vector<std::vector<double>> rows(tokens.size(), std::vector<double>(kEmbed));
  for (size_t t = 0; t < tokens.size(); ++t) {
    const size_t seen = bidirectional ? tokens.size() : t + 1;
    for (size_t i = 0; i < kEmbed; ++i) {
      for (size_t j = 0; j < seen; ++j) rows[t][i] += element(j, i) / static_cast<double>(seen);
      rows[t][i] += element(t, i);
    }
  }
  return rows;
}

std::vector<double> pooled(const std::vector<std::vector<double>>& rows, Pooling pooling) {
  if (pooling == Pooling::first) return rows.front();
  if (pooling == Pooling::last) return rows.back();
  std::vector<double> mean(kEmbed);
  for (const auto& row : rows) {
    for (size_t i = 0; i < kEmbed; ++i) mean[i] += row[i] / static_cast<double>(rows.size());
  }
  return mean;
}

void expect_near(std::span<const float> got, const std::vector<double>& want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 2e-6) << what << ", element " << i;
}

EngineOptions options_for(int32_t batch) { return {.precision = Precision::exact, .batch = batch, .page_size = 4}; }

const std::vector<int32_t> kText = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2};

TEST(TextEmbedder, PoolsInAnyChunks) {
  std::vector<Device> devices = {Device::cpu(2)};
  if (test::opencl_device()) devices.push_back(*test::opencl_device());
  for (const Device& device : devices) {
    for (const Kind kind : {Kind::by_row, Kind::by_token, Kind::both}) {
      for (const bool bidirectional : {false, true}) {
        const LanguageModel model = model_of(kind, bidirectional);
        for (const Pooling pooling : {Pooling::mean, Pooling::first, Pooling::last}) {
          for (const int32_t batch : {17, 7, 1}) {
            if (bidirectional && batch != 17) continue;
            TextEmbedder embedder(model, device, options_for(batch), {.pooling = pooling});
            EXPECT_EQ(embedder.width(), kEmbed);
            EXPECT_FALSE(embedder.engine().has_logits());
            const std::string what = device.name() + ", kind " + std::to_string(static_cast<int>(kind)) +
                                     (bidirectional ? ", bidirectional" : "") + ", pooling " +
                                     std::to_string(static_cast<int>(pooling)) + ", batch " + std::to_string(batch);
            for (const size_t length : {kText.size(), size_t{1}, size_t{8}}) {
              const std::vector<int32_t> tokens(kText.begin(), kText.begin() + static_cast<int64_t>(length));
              expect_near(embedder.embed(tokens), pooled(states(tokens, bidirectional), pooling), what);
            }
          }
        }
      }
    }
  }
}

TEST(TextEmbedder, TakesWhatTheModelPoolsUnlessToldOtherwise) {
  std::vector<double> own = states(kText, false).back();
  for (double& x : own) x *= -2;
  for (const int32_t batch : {32, 3}) {
    for (const Kind kind : {Kind::pooled, Kind::both}) {
      TextEmbedder embedder(model_of(kind, false), Device::cpu(1), options_for(batch), {});
      expect_near(embedder.embed(kText), own, "its own");
    }
    TextEmbedder mean(model_of(Kind::by_row, false), Device::cpu(1), options_for(batch), {});
    expect_near(mean.embed(kText), pooled(states(kText, false), Pooling::mean), "the mean");
  }
}

TEST(TextEmbedder, Normalizes) {
  TextEmbedder embedder(model_of(Kind::by_row, false), Device::cpu(1), options_for(8), {.normalize = true});
  std::vector<double> want = pooled(states(kText, false), Pooling::mean);
  double squares = 0;
  for (const double x : want) squares += x * x;
  for (double& x : want) x /= std::sqrt(squares);
  expect_near(embedder.embed(kText), want, "normalized");
}

TEST(TextEmbedder, AZeroVectorStaysZero) {
  Graph graph;
  const Batch batch(graph);
  const auto zero = materialize(at<Pos>(materialize(at<Vocab>(table(1), batch.tokens)), batch.last) * 0.0f);
  LanguageModel model = test::hand_model(graph, batch, kVocab, kContext);
  model.result("hidden", zero);
  TextEmbedder embedder(model, Device::cpu(1), options_for(8), {.normalize = true});
  for (const float x : embedder.embed(kText)) EXPECT_EQ(x, 0);
}

TEST(TextEmbedder, RefusesWhatItCannotEmbed) {
  const Device cpu = Device::cpu(1);
  EXPECT_EQ(error_of([&] { TextEmbedder(model_of(Kind::none, false), cpu, options_for(8), {}); }),
            "the model has neither a result 'embedding' nor 'hidden', so it gives no vectors of texts");
  EXPECT_EQ(
      error_of([&] { TextEmbedder(model_of(Kind::pooled, false), cpu, options_for(8), {.pooling = Pooling::mean}); }),
      "the model pools by itself: it has the result 'embedding', but no 'hidden' states to pool otherwise");
  TextEmbedder whole(model_of(Kind::by_row, true), cpu, options_for(8), {});
  EXPECT_EQ(error_of([&] { whole.embed(kText); }),
            "a step takes at most 8 tokens, and this model reads all 17 of the sequence in one step: a larger batch is "
            "needed (-b)");
  EXPECT_EQ(error_of([&] { whole.embed({}); }), "a text without tokens has no vector");
  const std::vector<int32_t> unknown = {1, kVocab};
  EXPECT_EQ(error_of([&] { whole.embed(unknown); }), "token 11 is outside the vocabulary of 11");
  // It can be used after all of these.
  const std::vector<int32_t> tokens(kText.begin(), kText.begin() + 8);
  expect_near(whole.embed(tokens), pooled(states(tokens, true), Pooling::mean), "after errors");

  EngineOptions options = options_for(8);
  options.context = 10;
  TextEmbedder small(model_of(Kind::by_row, false), cpu, options, {});
  EXPECT_EQ(error_of([&] { small.embed(kText); }), "17 tokens, and the context has room for 10 (-c)");

  Graph graph;
  const Batch batch(graph);
  LanguageModel flat = test::hand_model(graph, batch, kVocab, kContext);
  flat.result("hidden", materialize(cast<f32>(batch.tokens)));
  EXPECT_EQ(error_of([&] { TextEmbedder(flat, cpu, options_for(8), {}); }),
            "result 'hidden' of the model is not f32 with an axis of rows and one of their elements");
}

}  // namespace
}  // namespace weft

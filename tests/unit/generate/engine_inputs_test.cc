// Inputs and results of an engine by their names, on both devices, against plain sums in double precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "models/axes.h"
#include "models/parts/pooling.h"
#include "ops/ops.h"
#include "runtime/generate/engine.h"
#include "tests/allocation_counter.h"
#include "tests/errors.h"
#include "tests/gpu_device.h"
#include "tests/hand_model.h"

namespace weft {
namespace {

using test::error_of;
using Row = std::vector<double>;

constexpr int64_t kVocab = 17, kEmbed = 12, kHeads = 2, kDim = 6, kContext = 64;
constexpr float kScale = 0.4f;

struct Frame : axis<"frame"> {};  // of an encoder
struct Head : axis<"head"> {};    // of several outputs
using KvCache = Cache<Field<Key, KvHead, HeadDim>, Field<Key, KvHead, HeadDim>>;

template <class... A>
Tensor<f32, A...> random_tensor(const std::array<int64_t, sizeof...(A)>& extents, uint32_t seed) {
  Tensor<f32, A...> tensor(extents);
  std::mt19937 random(seed);
  for (float& x : tensor.values()) x = std::uniform_real_distribution<float>(-1, 1)(random);
  return tensor;
}

std::vector<int32_t> some_tokens(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % kVocab);
  return tokens;
}

std::vector<Device> devices() {
  std::vector<Device> all = {Device::cpu(1), Device::cpu(2)};
  if (test::opencl_device()) all.push_back(*test::opencl_device());
  return all;
}

EngineOptions options_for(int32_t batch, int32_t sequences = 1) {
  return {.precision = Precision::exact,
          .context = kContext,
          .sequences = sequences,
          .batch = batch,
          .logit_rows = batch,
          .page_size = 4};
}

void expect_near(std::span<const float> got, const Row& want, const std::string& what, double tolerance = 2e-5) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], tolerance) << what << ", element " << i;
}

// Row `i` of a matrix, and its product with a vector.
Row row_of(std::span<const float> matrix, size_t i, size_t width) {
  return {matrix.begin() + static_cast<int64_t>(i * width), matrix.begin() + static_cast<int64_t>((i + 1) * width)};
}
Row product(std::span<const float> matrix, const Row& x) {
  Row y(matrix.size() / x.size());
  for (size_t r = 0; r < y.size(); ++r) {
    for (size_t c = 0; c < x.size(); ++c) y[r] += static_cast<double>(matrix[r * x.size() + c]) * x[c];
  }
  return y;
}

// Attention of one query with keys and values, kHeads heads of kDim.
Row attended(const Row& query, std::span<const Row> keys, std::span<const Row> values) {
  Row result(kHeads * kDim);
  for (size_t head = 0; head < kHeads; ++head) {
    double total = 0;
    for (size_t j = 0; j < keys.size(); ++j) {
      double score = 0;
      for (size_t d = head * kDim; d < (head + 1) * kDim; ++d) score += query[d] * keys[j][d];
      const double weight = std::exp(score * static_cast<double>(kScale));
      total += weight;
      for (size_t d = head * kDim; d < (head + 1) * kDim; ++d) result[d] += weight * values[j][d];
    }
    for (size_t d = head * kDim; d < (head + 1) * kDim; ++d) result[d] = total == 0 ? 0 : result[d] / total;
  }
  return result;
}

// One layer of attention, with or without a mask.
struct Layer {
  Tensor<f32, KvHead, HeadDim, Embed> wq, wk, wv;
  Tensor<f32, Embed, KvHead, HeadDim> wo;

  explicit Layer(uint32_t seed)
      : wq(random_tensor<KvHead, HeadDim, Embed>({kHeads, kDim, kEmbed}, seed)),
        wk(random_tensor<KvHead, HeadDim, Embed>({kHeads, kDim, kEmbed}, seed + 1)),
        wv(random_tensor<KvHead, HeadDim, Embed>({kHeads, kDim, kEmbed}, seed + 2)),
        wo(random_tensor<Embed, KvHead, HeadDim>({kEmbed, kHeads, kDim}, seed + 3)) {}

  Value<f32, Pos, Embed> record(Graph& graph, const Batch& batch, const Value<f32, Pos, Embed>& x, bool causal) const {
    const KvCache cache(graph, batch, "kv");
    const auto q = materialize(contract<Embed>(x, wq));
    const auto [K, V] = materialize(append(cache, contract<Embed>(x, wk), contract<Embed>(x, wv)));
    const auto score = contract<HeadDim>(q, K) * kScale;
    const auto a = causal ? materialize(contract<Key>(softmax<Key>(where(K.pos() <= batch.pos, score, -inf)), V))
                          : materialize(contract<Key>(softmax<Key>(score), V));
    return materialize(x + contract<KvHead, HeadDim>(a, wo));
  }

  std::vector<Row> reference(const std::vector<Row>& x, bool causal) const {
    std::vector<Row> keys, values, result;
    for (const Row& row : x) {
      keys.push_back(product(wk.values(), row));
      values.push_back(product(wv.values(), row));
    }
    for (size_t t = 0; t < x.size(); ++t) {
      const size_t seen = causal ? t + 1 : x.size();
      const Row a = attended(product(wq.values(), x[t]), std::span(keys).first(seen), std::span(values).first(seen));
      Row y = product(wo.values(), a);
      for (size_t i = 0; i < y.size(); ++i) y[i] += x[t][i];
      result.push_back(y);
    }
    return result;
  }
};

Tensor<f32, Vocab, Embed> token_table() { return random_tensor<Vocab, Embed>({kVocab, kEmbed}, 1); }

std::vector<Row> embedded(const std::vector<int32_t>& tokens) {
  const auto table = token_table();
  std::vector<Row> rows;
  for (const int32_t token : tokens) rows.push_back(row_of(table.values(), static_cast<size_t>(token), kEmbed));
  return rows;
}

std::vector<float> flat(const std::vector<Row>& rows) {
  std::vector<float> all;
  for (const Row& row : rows) {
    for (const double x : row) all.push_back(static_cast<float>(x));
  }
  return all;
}
Row flat_row(const std::vector<Row>& rows) {
  Row all;
  for (const Row& row : rows) all.insert(all.end(), row.begin(), row.end());
  return all;
}

// --- rows for tokens ---

struct EmbeddingsModel {
  Layer layer{10};
  LanguageModel model;
  EmbeddingsModel() {
    Graph graph;
    const Batch batch(graph);
    const auto x = graph.input<f32, Pos, Embed>("embeddings");
    const auto height = graph.positions<Pos>("height");  // a second position
    const auto shifted = materialize(x + 0.125f * cast<f32>(height));
    const auto y = layer.record(graph, batch, shifted, true);
    model = test::hand_model(graph, batch, kVocab, kContext);
    model.result("hidden", y);
    model.result("last", materialize(at<Pos>(y, batch.last)));
  }
  std::vector<Row> reference(std::vector<Row> x, const std::vector<int32_t>& heights) const {
    for (size_t i = 0; i < x.size(); ++i) {
      for (double& element : x[i]) element += 0.125 * heights[i];
    }
    return layer.reference(x, true);
  }
};

TEST(EngineInputs, EmbeddingsAndASecondPositionInsteadOfTokens) {
  const EmbeddingsModel it;
  const std::vector<std::vector<int32_t>> texts = {some_tokens(23, 1), some_tokens(9, 2)};
  std::vector<std::vector<int32_t>> heights;
  std::vector<std::vector<Row>> want;
  for (const auto& text : texts) {
    heights.push_back(some_tokens(text.size(), 7 + static_cast<uint32_t>(text.size())));
    want.push_back(it.reference(embedded(text), heights.back()));
  }
  for (const Device& device : devices()) {
    for (const size_t chunk : {size_t{23}, size_t{7}, size_t{1}}) {
      Engine engine(it.model, device, options_for(46, 2));
      const int32_t sequences[] = {engine.cache().open(), engine.cache().open()};
      for (size_t begin = 0; begin < texts[0].size(); begin += chunk) {
        Row hidden, last;
        for (size_t s = 0; s < 2; ++s) {
          if (begin >= texts[s].size()) continue;
          const size_t count = std::min(chunk, texts[s].size() - begin);
          const auto part = std::span(want[s]).subspan(begin, count);
          const std::vector<Row> rows(part.begin(), part.end());
          const Row expected = flat_row(rows);
          hidden.insert(hidden.end(), expected.begin(), expected.end());
          last.insert(last.end(), rows.back().begin(), rows.back().end());
          const std::vector<Row> x = embedded(texts[s]);
          const std::vector<float> given =
              flat({x.begin() + static_cast<int64_t>(begin), x.begin() + static_cast<int64_t>(begin + count)});
          // Rows may come before or after their tokens are added, and in parts.
          const auto n = static_cast<int64_t>(count);
          if (s == 0) engine.input("embeddings", TensorView<f32, Pos, Embed>({n, kEmbed}, given));
          engine.add(sequences[s], static_cast<int32_t>(count), WantLogits::last);
          if (s == 1) engine.input("embeddings", TensorView<f32, Pos, Embed>({n, kEmbed}, given));
          for (size_t i = 0; i < count; ++i) {
            engine.input("height", TensorView<i32, Pos>({1}, std::span(heights[s]).subspan(begin + i, 1)));
          }
        }
        engine.run();
        const std::string what = device.name() + ", chunks of " + std::to_string(chunk);
        const auto got = engine.result<f32, Pos, Embed>("hidden");
        EXPECT_EQ(got.extent<Pos>() * kEmbed, static_cast<int64_t>(hidden.size()));
        expect_near(got.values(), hidden, what);
        expect_near(engine.result<f32, Seq, Embed>("last").values(), last, what);
      }
    }
  }
}

TEST(EngineInputs, AStepIsFedWithTheLastHiddenState) {
  const auto table = token_table();
  Graph graph;
  const Batch batch(graph);
  const auto previous = graph.input<f32, Pos, Embed>("previous");
  const auto x = materialize(tanh(at<Vocab>(table, batch.tokens) + 0.5f * previous));
  const auto hidden = materialize(at<Pos>(x, batch.last));
  LanguageModel model = test::hand_model(graph, batch, kVocab, kContext);
  model.result("hidden", hidden);
  const std::vector<int32_t> tokens = some_tokens(12, 4);
  for (const Device& device : devices()) {
    Engine engine(model, device, options_for(1));
    const int32_t sequence = engine.cache().open();
    engine.input("previous", Tensor<f32, Pos, Embed>({1, kEmbed}));
    Row state(kEmbed);
    for (const int32_t token : tokens) {
      engine.add(sequence, {&token, 1}, WantLogits::last);
      engine.run();
      const Row row = row_of(table.values(), static_cast<size_t>(token), kEmbed);
      for (size_t i = 0; i < state.size(); ++i) state[i] = std::tanh(row[i] + 0.5 * state[i]);
      const auto got = engine.result<f32, Seq, Embed>("hidden");
      expect_near(got.values(), state, device.name());
      engine.input("previous", got.renamed<Seq, Pos>());
    }
  }
}

// --- rows for rows of logits; several heads; values for all runs ---

struct HeadsModel {
  Tensor<f32, Head, Vocab, Embed> heads = random_tensor<Head, Vocab, Embed>({3, kVocab, kEmbed}, 5);
  LanguageModel model;
  HeadsModel() {
    Graph graph;
    const Batch batch(graph);
    const auto weight = graph.input<f32, Seq>("weight");
    const auto bias = graph.input<f32, Embed>("bias");
    const auto x = materialize(at<Vocab>(token_table(), batch.tokens) + bias);
    const auto last = materialize(at<Pos>(x, batch.last) * weight);
    const auto logits = materialize(contract<Embed>(last, random_tensor<Vocab, Embed>({kVocab, kEmbed}, 6)));
    const auto more = materialize(contract<Embed>(last, heads));
    const auto best =
        materialize(argmax<Vocab>(contract<Embed>(last, random_tensor<Vocab, Embed>({kVocab, kEmbed}, 6))));
    model = test::hand_model(graph, batch, logits, kVocab, kContext);
    model.result("hidden", last), model.result("heads", more), model.result("best", best);
  }
};

TEST(EngineInputs, SeveralHeadsAndRowsOfTheirOwn) {
  const HeadsModel it;
  const std::vector<int32_t> tokens = some_tokens(5, 3);
  const auto bias = random_tensor<Embed>({kEmbed}, 8);
  const std::vector<float> weights = {1, -2, 3, 0.5f, 0};
  for (const Device& device : devices()) {
    Engine engine(it.model, device, options_for(8));
    const int32_t sequence = engine.cache().open();
    engine.input("bias", bias);
    engine.add(sequence, tokens, WantLogits::all);
    engine.input("weight", TensorView<f32, Seq>({5}, weights));
    engine.run();
    Row want;
    for (size_t t = 0; t < tokens.size(); ++t) {
      Row x = embedded(tokens)[t];
      for (size_t i = 0; i < x.size(); ++i) {
        x[i] = (x[i] + static_cast<double>(bias.values()[i])) * static_cast<double>(weights[t]);
      }
      const Row y = product(it.heads.values(), x);
      want.insert(want.end(), y.begin(), y.end());
    }
    const auto heads = engine.result<f32, Seq, Head, Vocab>("heads");
    EXPECT_EQ(heads.extent<Head>(), 3);
    expect_near(heads.values(), want, device.name());
    const auto logits = engine.result<f32, Seq, Vocab>("logits");
    const auto best = engine.result<i32, Seq>("best");
    for (int32_t row = 0; row < engine.rows(); ++row) {
      const std::span<const float> one = engine.logits(row);
      EXPECT_TRUE(std::ranges::equal(logits.row(row), one));
      EXPECT_EQ(best.values()[static_cast<size_t>(row)], std::ranges::max_element(one) - one.begin());
    }

    // The bias stays; a step without rows needs no weights.
    engine.add(sequence, {tokens.data(), 2}, WantLogits::none);
    engine.run();
    EXPECT_EQ((engine.result<f32, Seq, Head, Vocab>("heads").extent<Seq>()), 0);
  }
}

TEST(EngineInputs, OnlyTheResultsThatAreAskedForAreComputed) {
  const HeadsModel it;
  EngineOptions options = options_for(8);
  options.results = {"hidden"};
  Engine engine(it.model, Device::cpu(1), options), all(it.model, Device::cpu(1), options_for(8));
  EXPECT_EQ(all.plan().graph().steps.size(), 5u);
  EXPECT_EQ(engine.plan().graph().steps.size(), 2u);
  EXPECT_FALSE(engine.has_logits());
  const auto bias = random_tensor<Embed>({kEmbed}, 8);
  const std::vector<int32_t> tokens = some_tokens(3, 3);
  const float weight = 2;
  for (Engine* one : {&engine, &all}) {
    one->input("bias", bias), one->input("weight", TensorView<f32, Seq>({1}, {&weight, 1}));
  }
  EXPECT_EQ(engine.prefill(engine.cache().open(), tokens).size(), 0u);
  EXPECT_EQ(all.prefill(all.cache().open(), tokens).size(), static_cast<size_t>(kVocab));
  EXPECT_TRUE(std::ranges::equal(engine.result<f32, Seq, Embed>("hidden").values(),
                                 all.result<f32, Seq, Embed>("hidden").values()));
  EXPECT_EQ(error_of([&] { engine.output("logits"); }), "result 'logits' is not among those that EngineOptions names");
  EXPECT_EQ(error_of([&] { engine.logits(0); }), "the engine computes no logits");
  options.results = {"hidden", "tail"};
  EXPECT_EQ(error_of([&] { Engine(it.model, Device::cpu(1), options); }),
            "the model has no result 'tail': there are 'logits', 'hidden', 'heads', 'best'");
}

// --- attention that sees later tokens, and pooling ---

struct EncoderModel {
  Layer layer{20};
  Tensor<f32, Vocab, Embed> table = token_table();
  LanguageModel model;
  explicit EncoderModel(float last_entry = 0) {
    if (last_entry != 0) table.values().back() = last_entry;
    Graph graph;
    const Batch batch(graph);
    const auto x = materialize(at<Vocab>(table, batch.tokens));
    const auto y = layer.record(graph, batch, x, false);
    const auto mean = mean_pooled(y, batch), first = first_pooled(y, batch), last = last_pooled(y, batch);
    model = test::hand_model(graph, batch, kVocab, kContext);
    model.bidirectional = true;
    model.result("hidden", y);
    model.result("mean", mean), model.result("first", first), model.result("last", last);
  }
};

Row mean_of(const std::vector<Row>& rows) {
  Row mean(rows.front().size());
  for (const Row& row : rows) {
    for (size_t i = 0; i < mean.size(); ++i) mean[i] += row[i] / static_cast<double>(rows.size());
  }
  return mean;
}

TEST(EngineInputs, AnEncoderOfPackedTextsIsPooled) {
  const EncoderModel it;
  for (const Device& device : devices()) {
    for (const std::vector<size_t>& lengths : std::vector<std::vector<size_t>>{{1}, {2, 1}, {5, 33, 1, 16}, {40}}) {
      const std::string what = device.name() + ", " + std::to_string(lengths.size()) + " texts";
      Engine engine(it.model, device, options_for(64, 4));
      Row hidden, mean, first, last;
      for (const size_t length : lengths) {
        const std::vector<int32_t> tokens = some_tokens(length, static_cast<uint32_t>(length));
        const std::vector<Row> rows = it.layer.reference(embedded(tokens), false);
        const auto add = [](Row& to, const Row& row) { to.insert(to.end(), row.begin(), row.end()); };
        add(hidden, flat_row(rows)), add(mean, mean_of(rows)), add(first, rows.front()), add(last, rows.back());
        engine.add(engine.cache().open(), tokens, WantLogits::last);
      }
      engine.run();
      expect_near(engine.result<f32, Pos, Embed>("hidden").values(), hidden, what);
      expect_near(engine.result<f32, Seq, Embed>("mean").values(), mean, what);
      expect_near(engine.result<f32, Seq, Embed>("first").values(), first, what);
      expect_near(engine.result<f32, Seq, Embed>("last").values(), last, what);
    }
  }
}

TEST(EngineInputs, WhatOneTextHoldsDoesNotReachAnother) {
  const EncoderModel it(std::numeric_limits<float>::infinity());
  const std::vector<int32_t> infinite = {1, kVocab - 1, 2}, finite = {3, 4, 5, 6};
  const std::vector<Row> rows = it.layer.reference(embedded(finite), false);
  for (const Device& device : devices()) {
    Engine engine(it.model, device, options_for(16, 2));
    engine.add(engine.cache().open(), infinite, WantLogits::last);
    engine.add(engine.cache().open(), finite, WantLogits::last);
    engine.run();
    expect_near(engine.result<f32, Seq, Embed>("mean").row(1), mean_of(rows), device.name());
    EXPECT_FALSE(std::isfinite(engine.result<f32, Seq, Embed>("mean").row(0)[0])) << device.name();
  }
}

TEST(EngineInputs, ABidirectionalModelReadsTextsWhole) {
  const EncoderModel it;
  Engine engine(it.model, Device::cpu(1), options_for(8));
  const int32_t sequence = engine.cache().open();
  const std::vector<int32_t> tokens = some_tokens(9, 1);
  const std::string too_long =
      "a step takes at most 8 tokens, and this model reads all 9 of the sequence in one step: a larger batch is needed "
      "(-b)";
  EXPECT_EQ(error_of([&] { engine.add(sequence, tokens, WantLogits::last); }), too_long);
  EXPECT_EQ(error_of([&] { engine.prefill(sequence, tokens); }), too_long);
  EXPECT_EQ(error_of([&] { engine.prefill(sequence, tokens, 3); }), too_long);
  engine.prefill(sequence, {tokens.data(), 5}, 3);  // in one step, whatever the chunk
  EXPECT_EQ((engine.result<f32, Pos, Embed>("hidden").extent<Pos>()), 5);
  EXPECT_EQ(error_of([&] { engine.decode(sequence, 1); }),
            "sequence 0 has 5 tokens, and this model reads all tokens of a sequence in one step");
}

// --- values of a sequence: cross-attention ---

// Keys and values of an encoder's frames, computed once, and a decoder whose tokens look at those of their sequence.
struct CrossModel {
  Layer self{30}, cross{40};
  LanguageModel encoder, decoder;
  CrossModel() {
    Graph encoding;
    const Batch frames(encoding);
    const auto x = encoding.input<f32, Pos, Embed>("frames");
    encoder = [&] {
      const auto keys = materialize(contract<Embed>(x, cross.wk)), values = materialize(contract<Embed>(x, cross.wv));
      LanguageModel model = test::hand_model(encoding, frames, 1, kContext);
      model.bidirectional = true;
      model.result("keys", keys), model.result("values", values);
      return model;
    }();

    Graph graph;
    const Batch batch(graph);
    const auto keys = graph.input<f32, Frame, KvHead, HeadDim>("cross_keys"),
               values = graph.input<f32, Frame, KvHead, HeadDim>("cross_values");
    const auto owner = graph.positions<Frame>("frame_sequence");
    auto y = self.record(graph, batch, materialize(at<Vocab>(token_table(), batch.tokens)), true);
    const auto q = materialize(contract<Embed>(y, cross.wq));
    const auto score = where(owner == cast<i32>(batch.seq), contract<HeadDim>(q, keys) * kScale, -inf);
    const auto a = materialize(contract<Frame>(softmax<Frame>(score), values));
    y = materialize(y + contract<KvHead, HeadDim>(a, cross.wo));
    decoder = test::hand_model(graph, batch, kVocab, kContext);
    decoder.result("hidden", y);
    decoder.by_sequence(owner);
    decoder.limit<Frame>(20);
  }

  std::vector<Row> reference(const std::vector<int32_t>& tokens, const std::vector<Row>& frames) const {
    std::vector<Row> keys, values, rows = self.reference(embedded(tokens), true);
    for (const Row& frame : frames) {
      keys.push_back(product(cross.wk.values(), frame));
      values.push_back(product(cross.wv.values(), frame));
    }
    for (Row& row : rows) {
      const Row y = product(cross.wo.values(), attended(product(cross.wq.values(), row), keys, values));
      for (size_t i = 0; i < row.size(); ++i) row[i] += y[i];
    }
    return rows;
  }
};

TEST(EngineInputs, CrossAttentionOverValuesOfEachSequence) {
  const CrossModel it;
  const std::vector<std::vector<int32_t>> texts = {some_tokens(23, 1), some_tokens(9, 2), some_tokens(23, 3)};
  const std::vector<std::vector<Row>> frames = {embedded(some_tokens(11, 4)), embedded(some_tokens(1, 5)),
                                                embedded(some_tokens(20, 6))};
  std::vector<std::vector<Row>> want;
  for (size_t s = 0; s < texts.size(); ++s) want.push_back(it.reference(texts[s], frames[s]));
  for (const Device& device : devices()) {
    Engine encoder(it.encoder, device, options_for(32));
    for (const size_t chunk : {size_t{23}, size_t{7}, size_t{1}}) {
      Engine engine(it.decoder, device, options_for(69, 3));
      int32_t sequences[3];
      for (int32_t& sequence : sequences) sequence = engine.cache().open();
      for (const size_t s : {2, 0, 1}) {
        const int32_t run = encoder.cache().open();
        const auto count = static_cast<int64_t>(frames[s].size());
        const std::vector<float> given = flat(frames[s]);
        encoder.add(run, static_cast<int32_t>(count), WantLogits::none);
        encoder.input("frames", TensorView<f32, Pos, Embed>({count, kEmbed}, given));
        encoder.run();
        encoder.cache().close(run);
        engine.input("cross_keys", sequences[s],
                     encoder.result<f32, Pos, KvHead, HeadDim>("keys").renamed<Pos, Frame>());
        engine.input("cross_values", sequences[s],
                     encoder.result<f32, Pos, KvHead, HeadDim>("values").renamed<Pos, Frame>());
      }
      for (size_t begin = 0; begin < 23; begin += chunk) {
        Row hidden;
        for (size_t s = 0; s < texts.size(); ++s) {
          if (begin >= texts[s].size()) continue;
          const size_t count = std::min(chunk, texts[s].size() - begin);
          engine.add(sequences[s], std::span(texts[s]).subspan(begin, count), WantLogits::none);
          for (size_t t = begin; t < begin + count; ++t)
            hidden.insert(hidden.end(), want[s][t].begin(), want[s][t].end());
        }
        engine.run();
        expect_near(engine.result<f32, Pos, Embed>("hidden").values(), hidden,
                    device.name() + ", chunks of " + std::to_string(chunk));
      }
    }
  }
}

TEST(EngineInputs, ValuesOfASequenceAreReplacedAndEndWithIt) {
  const CrossModel it;
  const std::vector<int32_t> tokens = some_tokens(4, 1);
  Engine engine(it.decoder, Device::cpu(1), options_for(16, 2));
  const auto give = [&](int32_t sequence, const std::vector<Row>& frames) {
    std::vector<Row> keys, values;
    for (const Row& frame : frames) {
      keys.push_back(product(it.cross.wk.values(), frame));
      values.push_back(product(it.cross.wv.values(), frame));
    }
    const auto count = static_cast<int64_t>(frames.size());
    const std::vector<float> k = flat(keys), v = flat(values);
    engine.input("cross_keys", sequence, TensorView<f32, Frame, KvHead, HeadDim>({count, kHeads, kDim}, k));
    engine.input("cross_values", sequence, TensorView<f32, Frame, KvHead, HeadDim>({count, kHeads, kDim}, v));
  };
  const auto check = [&](int32_t sequence, const std::vector<Row>& frames, const std::string& what) {
    engine.cache().trim(sequence, 0);
    engine.add(sequence, tokens, WantLogits::none);
    engine.run();
    expect_near(engine.result<f32, Pos, Embed>("hidden").values(), flat_row(it.reference(tokens, frames)), what);
  };
  const std::vector<Row> few = embedded(some_tokens(3, 8)), many = embedded(some_tokens(17, 9)),
                         others = embedded(some_tokens(6, 10));
  const int32_t a = engine.cache().open(), b = engine.cache().open();
  give(b, others);
  for (const std::vector<Row>& frames : {few, many, std::vector<Row>{}, few}) {
    give(a, frames);
    check(a, frames, std::to_string(frames.size()) + " frames");
    check(b, others, "the other sequence");
  }
  engine.cache().close(a);
  check(b, others, "after the other was closed");
  const std::string missing = "input 'cross_keys' over frame x kv_head x head_dim was not given for sequence 0";
  ASSERT_EQ(engine.cache().open(), a);
  engine.add(a, tokens, WantLogits::none);
  EXPECT_EQ(error_of([&] { engine.run(); }), missing);
  EXPECT_EQ(engine.cache().length(a), 0);
  give(a, many);
  check(a, many, "opened again");
  engine.cache().close(b);
  const int32_t fork = engine.cache().fork(a, 2);
  engine.add(fork, tokens, WantLogits::none);
  EXPECT_EQ(error_of([&] { engine.run(); }),
            "input 'cross_keys' over frame x kv_head x head_dim was not given for sequence 1");
}

// --- refusals ---

TEST(EngineInputs, RefusesWhatDoesNotFit) {
  const CrossModel it;
  Engine engine(it.decoder, Device::cpu(1), options_for(16, 2));
  const int32_t sequence = engine.cache().open();
  const Tensor<f32, Frame, KvHead, HeadDim> frames({3, kHeads, kDim});
  const auto error = [&](const auto& run) { return error_of(run); };
  EXPECT_EQ(error([&] { engine.input("frames", frames); }),
            "the model has no input 'frames': there are 'cross_keys', 'cross_values'");
  EXPECT_EQ(error([&] { engine.input("cross_keys", frames); }),
            "input 'cross_keys' over frame x kv_head x head_dim belongs to a sequence: say which");
  EXPECT_EQ(error([&] { engine.input("cross_keys", 1, frames); }), "there is no sequence 1");
  EXPECT_EQ(
      error([&] { engine.input("cross_keys", sequence, Tensor<i32, Frame, KvHead, HeadDim>({3, kHeads, kDim})); }),
      "input 'cross_keys' over frame x kv_head x head_dim holds f32, not i32");
  EXPECT_EQ(error([&] { engine.input("cross_keys", sequence, Tensor<f32, Pos, KvHead, HeadDim>({3, kHeads, kDim})); }),
            "input 'cross_keys' over frame x kv_head x head_dim was given values over pos x kv_head x head_dim");
  EXPECT_EQ(error([&] { engine.input("cross_keys", sequence, Tensor<f32, Frame, KvHead, HeadDim>({3, 4, kDim})); }),
            "input 'cross_keys' over frame x kv_head x head_dim: axis 'kv_head' is 4, and in the model it is 2");
  EXPECT_EQ(
      error([&] { engine.input("cross_keys", sequence, Tensor<f32, Frame, KvHead, HeadDim>({21, kHeads, kDim})); }),
      "input 'cross_keys' over frame x kv_head x head_dim: sequence 0 was given 21 rows, above the limit of 20");
  engine.input("cross_keys", sequence, frames);
  engine.input("cross_values", sequence, Tensor<f32, Frame, KvHead, HeadDim>({2, kHeads, kDim}));
  const std::vector<int32_t> tokens = some_tokens(4, 1);
  engine.add(sequence, tokens, WantLogits::none);
  const std::string uneven = error([&] { engine.run(); });
  EXPECT_CONTAINS(uneven, "rows for sequence 0, and");
  EXPECT_EQ(engine.cache().length(sequence), 0);  // the step is forgotten
  EXPECT_EQ(error([&] { engine.output("hidden"); }), "result 'hidden': no step has been run");
  engine.input("cross_values", sequence, frames);
  engine.add(sequence, tokens, WantLogits::none);
  engine.run();
  EXPECT_EQ(error([&] { engine.output("hide"); }), "the model has no result 'hide': there are 'hidden'");
  EXPECT_EQ(error([&] { engine.result<f32, Seq, Embed>("hidden"); }),
            "result 'hidden' is f32 over pos x embed, and was asked for as f32 over seq x embed");
  EXPECT_EQ(error([&] { engine.result<i32, Pos, Embed>("hidden"); }),
            "result 'hidden' is f32 over pos x embed, and was asked for as i32 over pos x embed");
  EXPECT_EQ(error([&] { engine.result<f32, Pos, Embed>("hidden").row(4); }), "there is no row 4: axis 'pos' is 4");
}

TEST(EngineInputs, RefusesRowsThatAreNotThoseOfTheStep) {
  const EmbeddingsModel it;
  Engine engine(it.model, Device::cpu(1), options_for(4));
  const int32_t sequence = engine.cache().open();
  const Tensor<f32, Pos, Embed> three({3, kEmbed});
  const std::vector<int32_t> heights(4), tokens(2);
  EXPECT_EQ(error_of([&] { engine.add(sequence, tokens, WantLogits::none); }),
            "the model reads no tokens: add() takes how many places the step has");
  engine.input("embeddings", three);
  EXPECT_EQ(error_of([&] { engine.input("embeddings", three); }),
            "input 'embeddings' over pos x embed: axis 'pos' is 6, above its limit of 4");
  EXPECT_EQ(error_of([&] { engine.input("embeddings", Tensor<f32, Pos, Embed>({1, kEmbed + 1})); }),
            "input 'embeddings' over pos x embed: axis 'embed' is 13, and in the model it is 12");
  EXPECT_EQ(error_of([&] { engine.input("embeddings", sequence, three); }),
            "input 'embeddings' over pos x embed does not belong to one sequence");
  engine.add(sequence, 4, WantLogits::none);
  EXPECT_EQ(error_of([&] { engine.run(); }),
            "input 'embeddings' over pos x embed was given 3 rows, and the step has 4 tokens");
  EXPECT_EQ(engine.cache().length(sequence), 0);
  engine.add(sequence, 3, WantLogits::none);  // rows of a failed step are forgotten too
  engine.input("embeddings", three);
  EXPECT_EQ(error_of([&] { engine.run(); }), "input 'height' over pos was given 0 rows, and the step has 3 tokens");
  engine.add(sequence, 3, WantLogits::none);
  engine.input("embeddings", three), engine.input("height", TensorView<i32, Pos>({3}, std::span(heights).first(3)));
  engine.run();
  EXPECT_EQ(error_of([&] { engine.add(sequence, -1, WantLogits::none); }), "a step cannot have -1 tokens");
  EXPECT_EQ(error_of([&] { TensorView<i32, Pos>({3}, heights); }), "a view has 3 elements, but 4 values were given");
  EXPECT_EQ(error_of([&] { TensorView<i32, Pos>({-3}, heights); }), "axis 'pos' of a view: extent -3 is negative");

  const HeadsModel heads;
  Engine other(heads.model, Device::cpu(1), options_for(4));
  EXPECT_EQ(error_of([&] { other.decode(other.cache().open(), 1); }),
            "input 'weight' over seq was given 0 rows, and the step has 1 rows of logits");
  EXPECT_EQ(error_of([&] { other.add(0, 3, WantLogits::none); }),
            "the model reads tokens: add() takes their ids, not how many there are");
  EXPECT_EQ(error_of([&] {
              other.input("weight", Tensor<f32, Seq>({1}));
              other.decode(0, 1);
            }),
            "input 'bias' over embed was not given");
}

TEST(EngineInputs, RefusesModelsThatCannotBeBound) {
  const auto error = [](const std::function<void(Graph&, LanguageModel&, const Batch&)>& change) {
    return error_of([&] {
      Graph graph;
      const Batch batch(graph);
      const auto x = materialize(at<Vocab>(token_table(), batch.tokens));
      LanguageModel model = test::hand_model(graph, batch, kVocab, kContext);
      model.result("hidden", x);
      change(graph, model, batch);
      Engine(model, Device::cpu(1), options_for(4));
    });
  };
  EXPECT_EQ(error([](Graph&, LanguageModel&, const Batch&) {}), "(no error)");
  EXPECT_EQ(
      error([](Graph& graph, LanguageModel&, const Batch&) { graph.input<f32, Frame>("frames"); }),
      "input 'frames' over frame: axis 'frame' has no limit; the model states one: model.limit<A>(extent), or its "
      "`limits`");
  EXPECT_EQ(error([](Graph& graph, LanguageModel& model, const Batch&) {
              graph.input<f32, Frame>("frames"), graph.input<i32, Frame>("frames"), model.limit<Frame>(3);
            }),
            "the model's graph has two inputs 'frames'");
  EXPECT_EQ(error([](Graph& graph, LanguageModel& model, const Batch&) {
              graph.input<f32, Frame, Pos>("frames"), model.limit<Frame>(3);
            }),
            "input 'frames' over frame x pos: axis 'pos' must come first, so that rows can follow each other");
  EXPECT_EQ(error([](Graph& graph, LanguageModel& model, const Batch&) {
              model.by_sequence(graph.positions<Frame>("owner")), model.limit<Frame>(3);
            }),
            "no input leads with axis 'frame', whose rows belong to sequences");
  EXPECT_EQ(error([](Graph& graph, LanguageModel& model, const Batch&) {
              graph.input<f32, Frame>("frames"), model.limit<Frame>(0);
            }),
            "axis 'frame' has a limit of 0, not between 1 and 2^31 - 1");
  EXPECT_EQ(error([](Graph&, LanguageModel& model, const Batch&) { model.limit<Frame>(3); }),
            "a limit of axis 'frame', which the model's graph does not have");
  EXPECT_EQ(error([](Graph&, LanguageModel& model, const Batch& batch) { model.result("hidden", batch.tokens); }),
            "result 'hidden': the model has a result of this name");
  EXPECT_EQ(error([](Graph&, LanguageModel& model, const Batch& batch) { model.result("logits", batch.tokens); }),
            "result 'logits': the model has a result of this name");
  EXPECT_EQ(error([](Graph&, LanguageModel& model, const Batch&) { model.result("x", Value<f32, Pos>()); }),
            "result 'x': the handle has no value");
  EXPECT_EQ(error([](Graph&, LanguageModel& model, const Batch&) {
              Graph other;
              model.result("x", other.input<f32, Pos>("y"));
            }),
            "result 'x': value 'y' belongs to another graph");
}

// --- memory ---

TEST(EngineInputs, BindingAndReadingAllocateNothing) {
  const CrossModel it;
  Engine engine(it.decoder, Device::cpu(2), options_for(16, 2));
  const int32_t sequence = engine.cache().open();
  const Tensor<f32, Frame, KvHead, HeadDim> some({3, kHeads, kDim}), more({5, kHeads, kDim});
  const int32_t token = 3;
  double sum = 0;
  const auto step = [&](const auto& frames) {
    engine.input("cross_keys", sequence, frames);
    engine.input("cross_values", sequence, frames);
    engine.add(sequence, {&token, 1}, WantLogits::none);
    engine.run();
    for (const float x : engine.result<f32, Pos, Embed>("hidden").values()) sum += static_cast<double>(x);
  };
  step(some);
  const long before = test::allocations;
  for (int i = 0; i < 10; ++i) step(i % 2 == 0 ? more : some);
  EXPECT_EQ(test::allocations - before, 0);
  EXPECT_TRUE(std::isfinite(sum));
}

}  // namespace
}  // namespace weft

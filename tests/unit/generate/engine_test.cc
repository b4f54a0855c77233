#include "runtime/generate/engine.h"

#include <gtest/gtest.h>

#include <cmath>

#include <algorithm>

#include "gpu/device.h"
#include "models/axes.h"
#include "ops/ops.h"
#include "tests/allocation_counter.h"
#include "tests/errors.h"
#include "tests/hand_model.h"
#include "tests/logits_error.h"
#include "tests/small_model.h"

namespace weft {
namespace {

using test::error_of;

std::vector<int32_t> some_tokens(int count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 19);
  return tokens;
}

EngineOptions exact_options() {
  EngineOptions options;
  options.precision = Precision::exact;
  options.page_size = 4;
  options.context = 100;
  return options;
}

// Logits of every position, the tokens given `chunk` at a time.
std::vector<float> all_logits(const LanguageModel& model, const std::vector<int32_t>& tokens, int chunk,
                              const Device& device = Device::cpu(1), EngineOptions options = exact_options()) {
  options.batch = chunk;
  options.logit_rows = chunk;
  Engine engine(model, device, options);
  const int32_t sequence = engine.cache().open();
  std::vector<float> logits;
  for (size_t begin = 0; begin < tokens.size(); begin += static_cast<size_t>(chunk)) {
    const size_t count = std::min(static_cast<size_t>(chunk), tokens.size() - begin);
    engine.add(sequence, std::span(tokens).subspan(begin, count), WantLogits::all);
    engine.run();
    for (int32_t row = 0; row < engine.rows(); ++row) {
      logits.insert(logits.end(), engine.logits(row).begin(), engine.logits(row).end());
    }
  }
  return logits;
}

using test::relative_error;
constexpr double kSame = 1e-5;

// On the CPU with one thread and two, and on the first OpenCL device.
class EngineOn : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string name = GetParam();
    if (name == "opencl" && !has_opencl()) GTEST_SKIP() << "no OpenCL device";
    device_ = name == "cpu2" ? Device::cpu(2) : name == "cpu1" ? Device::cpu(1) : Device::opencl();
  }
  static bool has_opencl() {
    try {
      return !GpuDevice::list().empty();
    } catch (const Error&) {
      return false;
    }
  }

  Device device_ = Device::cpu(1);
};

INSTANTIATE_TEST_SUITE_P(Devices, EngineOn, testing::Values("cpu1", "cpu2", "opencl"),
                         [](const auto& param) { return std::string(param.param); });

TEST_P(EngineOn, ChunksGiveTheSameLogits) {
  const LanguageModel model = test::small_model();
  const std::vector<int32_t> tokens = some_tokens(70, 1);
  const std::vector<float> want = all_logits(model, tokens, 70);
  ASSERT_EQ(want.size(), 70u * 19);
  for (const int chunk : {1, 7, 64, 70}) {
    EXPECT_LE(relative_error(all_logits(model, tokens, chunk, device_), want), kSame) << chunk;
  }
}

TEST(Engine, PositionsMatter) {
  const LanguageModel model = test::small_model();
  std::vector<int32_t> tokens = some_tokens(9, 1);
  const std::vector<float> want = all_logits(model, tokens, 9);
  std::swap(tokens[2], tokens[5]);
  EXPECT_NE(tokens[2], tokens[5]);
  const std::vector<float> other = all_logits(model, tokens, 9);
  const double apart = relative_error(std::span(other).last(19), std::span(want).last(19));
  EXPECT_TRUE(std::isfinite(apart));
  EXPECT_GT(apart, 1e-3);
}

TEST_P(EngineOn, PackedSequencesGiveWhatSingleRunsGive) {
  const LanguageModel model = test::small_model();
  const std::vector<std::vector<int32_t>> prompts = {some_tokens(1, 2), some_tokens(7, 3), some_tokens(64, 4)};
  EngineOptions options = exact_options();
  options.sequences = 3;
  options.logit_rows = 72;
  Engine engine(model, device_, options);
  std::vector<int32_t> sequences;
  for (const auto& prompt : prompts) {
    sequences.push_back(engine.cache().open());
    engine.add(sequences.back(), prompt, WantLogits::all);
  }
  engine.run();
  ASSERT_EQ(engine.rows(), 72);
  int32_t row = 0;
  for (const auto& prompt : prompts) {
    const std::vector<float> want = all_logits(model, prompt, 64);
    for (size_t i = 0; i < prompt.size(); ++i, ++row) {
      EXPECT_LE(relative_error(engine.logits(row), std::span(want).subspan(i * 19, 19)), kSame);
    }
  }

  // Prefill of one and decoding of the others in one step.
  const int32_t sequence = sequences[1];
  engine.cache().trim(sequence, 0);
  const std::vector<int32_t> fresh = some_tokens(11, 5);
  const int32_t next = 3;
  engine.add(sequences[0], {&next, 1}, WantLogits::last);
  engine.add(sequence, fresh, WantLogits::last);
  engine.add(sequences[2], {&next, 1}, WantLogits::last);
  engine.run();
  const auto single = [&](std::vector<int32_t> tokens, bool extended) {
    if (extended) tokens.push_back(next);
    std::vector<float> logits = all_logits(model, tokens, 65);
    return std::vector<float>(logits.end() - 19, logits.end());
  };
  EXPECT_LE(relative_error(engine.logits(0), single(prompts[0], true)), kSame);
  EXPECT_LE(relative_error(engine.logits(1), single(fresh, false)), kSame);
  EXPECT_LE(relative_error(engine.logits(2), single(prompts[2], true)), kSame);
}

TEST_P(EngineOn, ForkedSequencesShareTheirPrefix) {
  const LanguageModel model = test::small_model();
  const std::vector<int32_t> prefix = some_tokens(10, 6);  // two and a half pages
  EngineOptions options = exact_options();
  options.sequences = 3;
  Engine engine(model, device_, options);
  const int32_t a = engine.cache().open();
  engine.prefill(a, prefix);
  const int32_t before = engine.cache().block_tables().free_pages();
  const int32_t b = engine.cache().fork(a, 10), c = engine.cache().fork(a, 6);
  EXPECT_EQ(engine.cache().block_tables().free_pages(), before);
  const std::vector<int32_t> ends[] = {{1, 2, 3}, {4, 5}, {6, 7, 8, 9, 10}};
  const int32_t sequences[] = {a, b, c};
  for (int i = 0; i < 3; ++i) engine.add(sequences[i], ends[i], WantLogits::last);
  engine.run();
  for (int i = 0; i < 3; ++i) {
    std::vector<int32_t> tokens(prefix.begin(), prefix.begin() + (i == 2 ? 6 : 10));
    tokens.insert(tokens.end(), ends[i].begin(), ends[i].end());
    const std::vector<float> want = all_logits(model, tokens, 64);
    EXPECT_LE(relative_error(engine.logits(i), std::span(want).last(19)), kSame) << "sequence " << i;
  }
}

// How far logits may be from those with another rounding of keys and values: that of f32, or of another chunk, where
// an element next to the middle between two numbers of the format may fall to the other side.
constexpr std::pair<Format, double> kStored[] = {{Format::f16, 2e-3}, {Format::bf16, 2e-2}, {Format::q8_0, 2e-2}};

TEST_P(EngineOn, CachesInOtherFormatsGiveNearlyTheSameLogits) {
  const LanguageModel model = test::small_model({.head_dim = 32});
  const std::vector<int32_t> tokens = some_tokens(70, 1);
  const std::vector<float> exact = all_logits(model, tokens, 70);
  for (const auto& [format, tolerance] : kStored) {
    EngineOptions options = exact_options();
    options.cache_k = options.cache_v = format;
    const std::vector<float> want = all_logits(model, tokens, 70, device_, options);
    const double apart = relative_error(want, exact);
    EXPECT_LE(apart, tolerance) << name(format);
    EXPECT_GT(apart, 1e-6) << name(format);  // it is stored so
    for (const int chunk : {1, 7, 64}) {
      EXPECT_LE(relative_error(all_logits(model, tokens, chunk, device_, options), want), tolerance)
          << name(format) << " " << chunk;
    }
  }
}

TEST_P(EngineOn, ForkedAndTrimmedSequencesKeepWhatIsStored) {
  const LanguageModel model = test::small_model({.head_dim = 32});
  const std::vector<int32_t> prefix = some_tokens(10, 6);  // two and a half pages
  for (const auto& [format, tolerance] : kStored) {
    EngineOptions options = exact_options();
    options.sequences = 2;
    options.cache_k = format;
    options.cache_v = format == Format::q8_0 ? Format::bf16 : format;  // the rows of fields differ in length
    Engine engine(model, device_, options);
    const int32_t a = engine.cache().open();
    engine.prefill(a, prefix);
    const int32_t b = engine.cache().fork(a, 6);
    engine.cache().trim(a, 9);
    const std::vector<int32_t> ends[] = {{1, 2, 3}, {4, 5, 6, 7, 8}};
    engine.add(a, ends[0], WantLogits::last);
    engine.add(b, ends[1], WantLogits::last);
    engine.run();
    for (int i = 0; i < 2; ++i) {
      std::vector<int32_t> tokens(prefix.begin(), prefix.begin() + (i == 0 ? 9 : 6));
      tokens.insert(tokens.end(), ends[i].begin(), ends[i].end());
      const std::vector<float> want = all_logits(model, tokens, 64, device_, options);
      EXPECT_LE(relative_error(engine.logits(i), std::span(want).last(19)), tolerance) << name(format) << " " << i;
    }
  }
}

TEST(Engine, DecodingAllocatesNothing) {
  for (const auto& [threads, format] :
       {std::pair(1, Format::f32), {2, Format::f32}, {2, Format::f16}, {2, Format::q8_0}}) {
    EngineOptions options = exact_options();
    options.cache_k = options.cache_v = format;
    Engine engine(test::small_model({.head_dim = 32}), Device::cpu(threads), options);
    const int32_t sequence = engine.cache().open();
    engine.prefill(sequence, some_tokens(5, 1));
    engine.decode(sequence, 1);
    const long before = test::allocations;
    float sum = 0;
    for (int32_t i = 0; i < 40; ++i) sum += engine.decode(sequence, i % 19)[0];
    EXPECT_EQ(test::allocations - before, 0) << threads << " threads, " << name(format);
    EXPECT_TRUE(std::isfinite(sum));
  }
}

TEST(Engine, PrefillWithoutLogitsSkipsThem) {
  const LanguageModel model = test::small_model();
  const std::vector<int32_t> tokens = some_tokens(30, 8);
  Engine engine(model, Device::cpu(1), exact_options());
  const int32_t sequence = engine.cache().open();
  const std::span<const float> got = engine.prefill(sequence, tokens, 7);
  EXPECT_EQ(engine.rows(), 1);
  EXPECT_LE(relative_error(got, std::span<const float>(all_logits(model, tokens, 30)).last(19)), kSame);
}

TEST(Engine, RefusesWhatDoesNotFit) {
  EngineOptions options = exact_options();
  options.context = 12;
  options.batch = 8;
  Engine engine(test::small_model(), Device::cpu(1), options);
  const int32_t sequence = engine.cache().open();
  const std::vector<int32_t> many(9, 1), some(6, 1);
  EXPECT_EQ(error_of([&] { engine.add(sequence, many, WantLogits::last); }), "a step takes at most 8 tokens");
  EXPECT_EQ(error_of([&] { engine.add(sequence, some, WantLogits::all); }), "a step gives at most 1 rows of logits");
  EXPECT_EQ(error_of([&] { engine.add(7, some, WantLogits::last); }), "there is no sequence 7");
  const std::vector<int32_t> unknown = {3, 19};
  EXPECT_EQ(error_of([&] { engine.add(sequence, unknown, WantLogits::last); }),
            "token 19 is outside the vocabulary of 19");
  engine.add(sequence, some, WantLogits::last);
  EXPECT_EQ(error_of([&] { engine.add(sequence, {some.data(), 1}, WantLogits::none); }),
            "sequence 0 is in this step already");
  engine.run();
  EXPECT_EQ(error_of([&] { engine.logits(1); }), "there is no row 1 of logits: the step gave 1");
  engine.prefill(sequence, some);
  EXPECT_EQ(error_of([&] { engine.decode(sequence, 1); }),
            "the context is full: 12 + 1 tokens, and a sequence has room for 12");
}

// An adaptive team runs with fewer threads where other programs are busy: equal seeds must give equal texts then too.
TEST(Team, ResultsDoNotDependOnItsSize) {
  const LanguageModel model = test::small_model({.kv_heads = 1, .group = 1});
  const std::vector<int32_t> tokens = some_tokens(900, 5);  // enough keys to be split between threads
  const auto logits = [&](bool alone) {
    EngineOptions options;
    options.context = 1000;
    Engine engine(model, Device::cpu(3), options);
    const int32_t sequence = engine.cache().open();
    std::vector<float> result;
    const auto run = [&] {
      engine.prefill(sequence, tokens);
      for (const int32_t token : {1, 2, 3}) {
        const std::span<const float> row = engine.decode(sequence, token);
        result.insert(result.end(), row.begin(), row.end());
      }
    };
    if (alone) {
      // Within a parallel region OpenMP gives the plan's team one thread.
#pragma omp parallel num_threads(2)
#pragma omp single
      run();
    } else {
      run();
    }
    return result;
  };
  EXPECT_EQ(logits(true), logits(false));
}

TEST(Team, AdaptiveTeamsGiveTheSameLogits) {
  const std::vector<int32_t> tokens = some_tokens(60, 6);
  const LanguageModel model = test::small_model();
  EXPECT_EQ(all_logits(model, tokens, 1, Device::cpu(3, TeamPolicy::adaptive)),
            all_logits(model, tokens, 1, Device::cpu(3)));
}

// More tokens than a model has learned positions: an error before the step, after which the sequence goes on as before.
TEST(Engine, PositionsBeyondALearnedTable) {
  struct Place : axis<"place"> {};
  Tensor<f32, Vocab, Embed> words({10, 4});
  Tensor<f32, Place, Embed> places({8, 4});
  for (float& x : words.values()) x = 0.5f;
  for (float& x : places.values()) x = 0.25f;
  Graph graph;
  const Batch batch(graph);
  const Cache<Field<Key, Embed>> cache(graph, batch, "kv");
  const auto x = materialize(at<Vocab>(words, batch.tokens) + at<Place>(places, batch.pos));
  auto [K] = materialize(append(cache, x));
  const auto y = materialize(contract<Key>(softmax<Key>(contract<Embed>(x, K)), K));
  const LanguageModel model = test::hand_model(graph, batch, materialize(at<Pos>(y, batch.last)), 4, 32);
  Engine engine(model, Device::cpu(1), {.context = 16, .batch = 16, .page_size = 4});
  const int32_t sequence = engine.cache().open();
  const std::vector<int32_t> tokens(9, 3);
  EXPECT_CONTAINS(test::error_of([&] { engine.prefill(sequence, tokens, 16); }),
                  "input 'pos' has 8 as element 8, but axis 'place'");
  EXPECT_EQ(engine.cache().length(sequence), 0);
  EXPECT_EQ(test::error_of([&] { engine.prefill(sequence, std::span(tokens).first(8), 16); }), "(no error)");
  EXPECT_CONTAINS(test::error_of([&] { engine.decode(sequence, 3); }), "has extent 8");
  EXPECT_EQ(engine.cache().length(sequence), 8);
}

}  // namespace
}  // namespace weft

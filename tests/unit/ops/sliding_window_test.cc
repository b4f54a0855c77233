// A model with two groups of caches, one of which sees a window: it computes what it computes with full caches, over
// texts many times the window, in the memory of a few windows.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "models/axes.h"
#include "ops/ops.h"
#include "runtime/generate/engine.h"
#include "tests/errors.h"
#include "tests/gpu_device.h"
#include "tests/hand_model.h"
#include "tests/logits_error.h"

namespace weft {
namespace {

using test::error_of;
using test::relative_error;
using KvCache_ = Cache<Field<Key, KvHead, HeadDim>, Field<Key, KvHead, HeadDim>>;

constexpr int32_t kVocab = 23, kWindow = 10, kPage = 4, kBatch = 64, kContext = 400;
constexpr int64_t kEmbed = 12, kKvHeads = 2, kGroups = 2, kDim = 8;

template <Axis... A>
Tensor<f32, A...> random_tensor(std::mt19937& random, const std::array<int64_t, sizeof...(A)>& extents, float scale) {
  Tensor<f32, A...> tensor(extents);
  std::uniform_real_distribution<float> uniform(-scale, scale);
  for (float& x : tensor.values()) x = uniform(random);
  return tensor;
}

// Layers 0 and 2 see kWindow tokens, layer 1 sees all; the caches may know it or not.
LanguageModel model_of(int window_group, bool windows_known) {
  std::mt19937 random(5);
  Graph graph;
  const Batch batch(graph);
  const auto embedding = random_tensor<Vocab, Embed>(random, {kVocab, kEmbed}, 1);
  auto x = materialize(at<Vocab>(embedding, batch.tokens));
  for (int layer = 0; layer < 3; ++layer) {
    const bool windowed = layer != 1;
    const auto wq = random_tensor<KvHead, Group, HeadDim, Embed>(random, {kKvHeads, kGroups, kDim, kEmbed}, 0.7f);
    const auto wk = random_tensor<KvHead, HeadDim, Embed>(random, {kKvHeads, kDim, kEmbed}, 0.7f);
    const auto wv = random_tensor<KvHead, HeadDim, Embed>(random, {kKvHeads, kDim, kEmbed}, 0.7f);
    const auto wo = random_tensor<Embed, KvHead, Group, HeadDim>(random, {kEmbed, kKvHeads, kGroups, kDim}, 0.7f);
    KvCache_ cache(graph, batch, "blk." + std::to_string(layer) + ".kv", windowed ? window_group : 1 - window_group);
    auto h = materialize(rms_norm<Embed>(x, 1e-5f));
    auto q = materialize(rope<HeadDim>(contract<Embed>(h, wq), batch.pos));
    auto [K, V] = materialize(append(cache, rope<HeadDim>(contract<Embed>(h, wk), batch.pos), contract<Embed>(h, wv)));
    const auto distance = batch.pos - K.pos();
    const auto seen = distance >= 0 && distance < (windowed ? kWindow : 1 << 30);
    auto a = materialize(contract<Key>(softmax<Key>(where(seen, contract<HeadDim>(q, K), -inf)), V));
    x = materialize(x + contract<KvHead, Group, HeadDim>(a, wo));
  }
  const auto logits = materialize(contract<Embed>(materialize(at<Pos>(x, batch.last)), embedding));
  std::vector<int32_t> windows;
  if (windows_known) windows = window_group == 0 ? std::vector<int32_t>{kWindow} : std::vector<int32_t>{0, kWindow};
  return test::hand_model(graph, batch, logits, kVocab, kContext, windows);
}

EngineOptions options_of(int32_t sequences = 1) {
  EngineOptions options;
  options.precision = Precision::exact;
  options.context = kContext;
  options.sequences = sequences;
  options.batch = kBatch;
  options.logit_rows = kBatch;
  options.page_size = kPage;
  return options;
}

std::vector<int32_t> some_tokens(int count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % kVocab);
  return tokens;
}

// Appends the logits of every token. After each step: no more pages than the window and this step need.
void feed(Engine& engine, int32_t sequence, std::span<const int32_t> tokens, int32_t chunk, int window_group,
          std::vector<float>& logits) {
  const bool windowed = !engine.model().windows.empty();
  for (size_t begin = 0; begin < tokens.size(); begin += static_cast<size_t>(chunk)) {
    const auto part = tokens.subspan(begin, std::min(static_cast<size_t>(chunk), tokens.size() - begin));
    engine.add(sequence, part, WantLogits::all);
    const BlockTables& tables = engine.cache().block_tables(window_group);
    const auto held = [&] {
      const auto pages = tables.pages(sequence);
      return static_cast<int64_t>(pages.size()) - tables.first(sequence) / kPage;
    };
    const auto count = static_cast<int32_t>(part.size());
    if (windowed) {
      ASSERT_LE(held(), (kWindow + count + kPage - 1) / kPage + 1);
    }
    engine.run();
    if (windowed) {
      ASSERT_LE(held(), (kWindow - 1 + kPage - 1) / kPage + 1);
    }
    for (int32_t row = 0; row < engine.rows(); ++row) {
      logits.insert(logits.end(), engine.logits(row).begin(), engine.logits(row).end());
    }
  }
}

std::vector<float> all_logits(const LanguageModel& model, const Device& device, std::span<const int32_t> tokens,
                              int32_t chunk, int window_group) {
  Engine engine(model, device, options_of());
  std::vector<float> logits;
  feed(engine, engine.cache().open(), tokens, chunk, window_group, logits);
  return logits;
}

void same_as_full_cache(const Device& device, int length) {
  const std::vector<int32_t> tokens = some_tokens(length, 1);
  const std::vector<float> want = all_logits(model_of(1, false), Device::cpu(1), tokens, kBatch, 1);
  ASSERT_EQ(want.size(), tokens.size() * kVocab);
  for (const int32_t chunk : {1, 7, 64}) {
    const std::vector<float> got = all_logits(model_of(1, true), device, tokens, chunk, 1);
    EXPECT_LE(relative_error(got, want), 1e-5) << "chunks of " << chunk;
  }
}

TEST(SlidingWindow, GivesWhatAFullCacheGives) {
  same_as_full_cache(Device::cpu(1), 390);
  same_as_full_cache(Device::cpu(2), 200);
}

TEST(SlidingWindow, GivesWhatAFullCacheGivesOnOpenCl) {
  const auto& device = test::opencl_device();
  if (!device) GTEST_SKIP() << "no OpenCL device";
  same_as_full_cache(*device, 150);
}

TEST(SlidingWindow, TheWindowMayBeThatOfGroup0) {
  const std::vector<int32_t> tokens = some_tokens(200, 2);
  const std::vector<float> want = all_logits(model_of(1, false), Device::cpu(1), tokens, kBatch, 1);
  EXPECT_LE(relative_error(all_logits(model_of(0, true), Device::cpu(1), tokens, 7, 0), want), 1e-5);
}

// With a window that hides what a query may see, results differ: the comparisons above can fail.
TEST(SlidingWindow, TooSmallAWindowShows) {
  const std::vector<int32_t> tokens = some_tokens(100, 2);
  const std::vector<float> want = all_logits(model_of(1, false), Device::cpu(1), tokens, 1, 1);
  LanguageModel model = model_of(1, true);
  model.windows[1] = 2;
  EXPECT_GT(relative_error(all_logits(model, Device::cpu(1), tokens, 1, 1), want), 1e-3);
}

TEST(SlidingWindow, GroupsHaveSlotsOfTheirOwn) {
  const LanguageModel model = model_of(1, true);
  const auto& caches = model.graph->caches;
  ASSERT_EQ(caches.size(), 3u);
  EXPECT_EQ(caches[1].slots, model.slots);
  EXPECT_EQ(caches[0].slots, caches[2].slots);
  EXPECT_NE(caches[0].slots, model.slots);
  EXPECT_EQ(model.graph->values[caches[0].slots].name, "slots.1");
}

TEST(SlidingWindow, MemoryDoesNotGrowWithTheContext) {
  const Engine engine(model_of(1, true), Device::cpu(1), options_of(3));
  const size_t row = 2 * kKvHeads * kDim * sizeof(float) + sizeof(int32_t);
  const auto full = static_cast<size_t>(3 * kContext);
  const auto windowed = static_cast<size_t>(BlockTables::pages_of_window(kWindow, kBatch, 3, kPage) * kPage);
  EXPECT_LE(windowed, static_cast<size_t>(kBatch + 3 * (kWindow + 2 * kPage)));
  EXPECT_EQ(engine.cache().bytes(), row * (full + 2 * windowed));
}

// Three sequences together write many times the slots that their group has, and all of them get what they get alone.
TEST(SlidingWindow, PagesAreReusedByOtherSequences) {
  const LanguageModel model = model_of(1, true);
  Engine engine(model, Device::cpu(1), options_of(3));
  std::vector<int32_t> sequences, lengths = {300, 170, 390};
  std::vector<std::vector<int32_t>> tokens;
  std::vector<std::vector<float>> got(3);
  for (uint32_t i = 0; i < 3; ++i) {
    sequences.push_back(engine.cache().open());
    tokens.push_back(some_tokens(lengths[i], 10 + i));
  }
  std::vector<size_t> done(3);
  std::mt19937 random(1);
  const BlockTables& tables = engine.cache().block_tables(1);
  for (bool more = true; more;) {
    more = false;
    int32_t room = kBatch;
    std::vector<std::pair<size_t, size_t>> parts;  // sequence, tokens
    for (size_t i = 0; i < 3; ++i) {
      const size_t count = std::min({size_t{random() % 30}, tokens[i].size() - done[i], static_cast<size_t>(room)});
      if (done[i] < tokens[i].size()) more = true;
      if (count == 0) continue;
      engine.add(sequences[i], std::span(tokens[i]).subspan(done[i], count), WantLogits::all);
      parts.emplace_back(i, count);
      done[i] += count;
      room -= static_cast<int32_t>(count);
    }
    engine.run();
    int32_t row = 0;
    for (const auto& [i, count] : parts) {
      for (size_t r = 0; r < count; ++r, ++row) {
        got[i].insert(got[i].end(), engine.logits(row).begin(), engine.logits(row).end());
      }
    }
  }
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_LE(relative_error(got[i], all_logits(model_of(1, false), Device::cpu(1), tokens[i], kBatch, 1)), 1e-5) << i;
  }
  for (const int32_t sequence : sequences) engine.cache().close(sequence);
  EXPECT_EQ(tables.free_pages(), BlockTables::pages_of_window(kWindow, kBatch, 3, kPage));
  EXPECT_EQ(engine.cache().block_tables(0).free_pages(), 3 * kContext / kPage);
}

TEST(SlidingWindow, ForkAndTrimWithinTheWindow) {
  const LanguageModel full = model_of(1, false);
  Engine engine(model_of(1, true), Device::cpu(1), options_of(2));
  PagedKvCache& cache = engine.cache();
  const int32_t a = cache.open();
  const std::vector<int32_t> tokens = some_tokens(102, 4);
  engine.prefill(a, tokens);
  // The next token, 102, sees from 93 on; pages of 4 up to 92 are gone.
  EXPECT_EQ(cache.block_tables(1).first(a), 92);
  EXPECT_EQ(cache.shortest(a), 101);
  EXPECT_EQ(error_of([&] { cache.trim(a, 100); }),
            "sequence 0 cannot keep 100 tokens: its window of 10 has passed the first 92, so at least 101 must stay");
  EXPECT_EQ(error_of([&] { cache.fork(a, 50); }),
            "sequence 0 cannot share 50 tokens: its window of 10 has passed the first 92, so at least 101 must stay");
  EXPECT_EQ(cache.length(a), 102);
  const auto logits_after = [&](int32_t count, int32_t next) {
    std::vector<int32_t> text(tokens.begin(), tokens.begin() + count);
    text.push_back(next);
    const std::vector<float> logits = all_logits(full, Device::cpu(1), text, kBatch, 1);
    return std::vector<float>(logits.end() - kVocab, logits.end());
  };
  const int32_t b = cache.fork(a, 101);
  EXPECT_LE(relative_error(engine.decode(b, 3), logits_after(101, 3)), 1e-5);
  EXPECT_LE(relative_error(engine.decode(a, 4), logits_after(102, 4)), 1e-5);
  cache.trim(a, 102);
  EXPECT_LE(relative_error(engine.decode(a, 5), logits_after(102, 5)), 1e-5);
  cache.trim(a, 0);
  EXPECT_LE(relative_error(engine.prefill(a, tokens), std::span<const float>(logits_after(101, tokens[101]))), 1e-5);
}

}  // namespace
}  // namespace weft

// What a plan's caches are stored in: the options, what a graph says itself, and where q8_0 gives way to f16.
#include "runtime/plan/cache_formats.h"

#include <gtest/gtest.h>

#include "models/axes.h"
#include "models/parts/attention.h"
#include "runtime/generate/engine.h"
#include "tests/errors.h"
#include "tests/small_model.h"

namespace weft {
namespace {

using test::error_of;

LanguageModel model_of(int64_t head_dim) {
  test::SmallModelShape shape;
  shape.head_dim = head_dim;
  return test::small_model(shape);
}

std::vector<Format> formats(const GraphRecord& graph) {
  std::vector<Format> all;
  for (const CacheRecord& cache : graph.caches) {
    for (const ValueId field : cache.fields) all.push_back(graph.values[field].format);
  }
  return all;
}

using Formats = std::vector<Format>;

TEST(CacheFormats, KeysAndValuesAreTold) {
  GraphRecord graph = *model_of(32).graph;
  EXPECT_EQ(formats(graph), (Formats{Format::f32, Format::f32, Format::f32, Format::f32}));
  EXPECT_TRUE(set_cache_formats(graph, Format::q8_0, Format::f16).empty());
  EXPECT_EQ(formats(graph), (Formats{Format::q8_0, Format::f16, Format::q8_0, Format::f16}));
  EXPECT_TRUE(set_cache_formats(graph, std::nullopt, Format::bf16).empty());
  EXPECT_EQ(formats(graph), (Formats{Format::q8_0, Format::bf16, Format::q8_0, Format::bf16}));
}

TEST(CacheFormats, AWidthThat32DoesNotDivideFallsBackToF16) {
  GraphRecord graph = *model_of(48).graph;
  const std::vector<CacheFallback> fallbacks = set_cache_formats(graph, Format::q8_0, Format::bf16);
  EXPECT_EQ(formats(graph), (Formats{Format::f16, Format::bf16, Format::f16, Format::bf16}));
  ASSERT_EQ(fallbacks.size(), 2u);
  EXPECT_EQ(fallbacks[0].field, graph.caches[0].fields[0]);
  EXPECT_EQ(fallbacks[0].wanted, Format::q8_0);
  EXPECT_EQ(fallbacks[0].reason, "32 does not divide head_dim 48");
}

TEST(CacheFormats, AFieldThatIsNotReadByBlocksFallsBackToo) {
  const LanguageModel model = model_of(64);
  GraphRecord graph = *model.graph;
  // The second layer reads a part of its values, from the middle of a block on.
  const AxisId part = static_cast<AxisId>(graph.axes.size());
  graph.axes.push_back({"part", 32, nullptr});
  const ValueId field = graph.caches[1].fields[1];
  for (Step& step : graph.steps) {
    if (step.kind != StepKind::attention) continue;
    Region& region = step.regions.front();
    Operand& value = region.operands[static_cast<size_t>(region.attention->value)];
    if (value.value == field) value.view.back() = {part, value.view.back().stored, 16, -1};
  }
  const std::vector<CacheFallback> fallbacks = set_cache_formats(graph, Format::q8_0, Format::q8_0);
  ASSERT_EQ(fallbacks.size(), 1u);
  EXPECT_EQ(fallbacks[0].field, field);
  EXPECT_EQ(fallbacks[0].reason, "a step reads it otherwise than by blocks of 32");
  EXPECT_EQ(formats(graph), (Formats{Format::q8_0, Format::q8_0, Format::q8_0, Format::f16}));
}

TEST(CacheFormats, OtherFormatsAreErrors) {
  GraphRecord graph = *model_of(32).graph;
  EXPECT_EQ(error_of([&] { set_cache_formats(graph, Format::q4_0, {}); }),
            "a cache cannot be stored in Q4_0: there are f32, f16, bf16, q8_0");
  EXPECT_CONTAINS(error_of([&] { Engine(model_of(32), Device::cpu(1), {.cache_v = Format::i32}); }),
                  "a cache cannot be stored in I32");
  EXPECT_EQ(cache_format("q8_0"), Format::q8_0);
  EXPECT_EQ(cache_format("q4_0"), std::nullopt);
  EXPECT_EQ(cache_format("F16"), std::nullopt);
}

TEST(CacheFormats, AGraphMaySayWhatEachFieldIsStoredIn) {
  Graph graph;
  const Batch batch(graph);
  const KvCache cache(graph, batch, "kv");
  cache.store_fields({Format::q8_0, Format::bf16});
  EXPECT_EQ(formats(*graph.record()), (Formats{Format::q8_0, Format::bf16}));
  EXPECT_EQ(error_of([&] { cache.store_fields({Format::f16, Format::q6_k}); }), "cache 'kv' cannot be stored in Q6_K");
}

// The sizes of pools, and what explain says.
TEST(CacheFormats, MemoryIsCountedByWhatIsStored) {
  const LanguageModel model = model_of(32);
  // By slot: two layers of keys and values of 2 heads of 32, and their positions.
  const auto bytes = [&](std::optional<Format> k, std::optional<Format> v) {
    return Engine(model, Device::cpu(1), {.context = 320, .cache_k = k, .cache_v = v}).cache().bytes() / 320;
  };
  EXPECT_EQ(bytes({}, {}), 2u * (64 * 8 + 4));
  EXPECT_EQ(bytes(Format::f16, Format::bf16), 2u * (64 * 4 + 4));
  EXPECT_EQ(bytes(Format::q8_0, Format::f32), 2u * (68 + 256 + 4));
  const std::string message = error_of([&] {
    Engine(model, Device::cpu(1), {.context = 2'000'000'000, .cache_k = Format::q8_0, .cache_v = Format::q8_0});
  });
  EXPECT_CONTAINS(message, "takes " + std::to_string(size_t{2'000'000'000} * 2 * (68 + 68 + 4)) + " bytes");
}

TEST(CacheFormats, ExplainTells) {
  const auto text = [](int64_t head_dim, std::optional<Format> k, std::optional<Format> v) {
    return Engine(model_of(head_dim), Device::cpu(1), {.context = 64, .cache_k = k, .cache_v = v}).plan().explain();
  };
  EXPECT_CONTAINS(text(32, {}, {}), "\ncaches     keys in F32, values in F32, 1.03 kB a token\n");
  EXPECT_CONTAINS(text(32, Format::q8_0, Format::f16), "\ncaches     keys in Q8_0, values in F16, 400 B a token\n");
  EXPECT_CONTAINS(text(48, Format::q8_0, Format::bf16),
                  "\ncaches     keys in F16, values in BF16, 776 B a token\n"
                  "           'blk.0.kv.k' and 1 more in F16, not Q8_0: 32 does not divide head_dim 48\n");
  const Engine engine(model_of(48), Device::cpu(1), {.context = 64, .cache_k = Format::q8_0});
  EXPECT_CONTAINS(engine.plan().explain_json(), "\"reason\": \"32 does not divide head_dim 48\"");
}

}  // namespace
}  // namespace weft

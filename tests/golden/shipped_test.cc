// The shipped model on what the product promises of it: no allocation per decoded token, few steps, and one answer
// whatever vector instructions the machine has.
#include <gtest/gtest.h>

#include "models/registry.h"
#include "runtime/generate/engine.h"
#include "runtime/generate/sampler.h"
#include "runtime/text/tokenizer/tokenizer.h"
#include "tests/allocation_counter.h"
#include "tests/logits_error.h"
#include "tests/targets.h"
#include "tests/test_data.h"

namespace weft {
namespace {

std::shared_ptr<const Checkpoint> shipped_file() { return Checkpoint::open(test::shipped_model()); }

TEST(Shipped, DecodingAllocatesNothing) {
  const auto file = shipped_file();
  for (const int threads : {1, 2}) {
    Engine engine(load_model(file), Device::cpu(threads), {.context = 128});
    Sampler sampler({.repeat_penalty = 1.1f, .temp = 0.8f, .seed = 3}, static_cast<size_t>(engine.model().vocab));
    const int32_t sequence = engine.cache().open();
    std::span<const float> logits = engine.prefill(sequence, std::vector<int32_t>{1, 5, 9});
    logits = engine.decode(sequence, sampler.sample(logits));  // threads are started
    const long before = test::allocations;
    for (int i = 0; i < 100; ++i) {
      const int32_t token = sampler.sample(logits);
      sampler.accept(token);
      logits = engine.decode(sequence, token);
    }
    EXPECT_EQ(test::allocations - before, 0) << threads << " threads";
  }
}

TEST(Shipped, ALayerIsAtMostNineStepsAttentionAmongThem) {
  const LanguageModel model = load_model(shipped_file());
  const size_t layers = model.graph->caches.size();
  EXPECT_LE(model.graph->steps.size(), 9 * layers + 3);  // embedding, last norm, logits
  size_t attention = 0;
  for (const Step& step : model.graph->steps) attention += step.kind == StepKind::attention;
  EXPECT_EQ(attention, layers);
}

TEST(Shipped, EveryTargetGivesTheSameLogits) {
  const auto file = shipped_file();
  std::vector<int32_t> tokens(70);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(3 + i * 17 % 2000);
  std::vector<float> best;
  int targets = 0;
  on_every_target([&] {
    ++targets;
    Engine engine(load_model(file), Device::cpu(1), {.precision = Precision::exact, .context = 80, .logit_rows = 70});
    const int32_t sequence = engine.cache().open();
    engine.add(sequence, std::span(tokens).first(64), WantLogits::all);
    engine.run();
    std::vector<float> logits;
    const auto keep = [&] {
      for (int32_t row = 0; row < engine.rows(); ++row) {
        logits.insert(logits.end(), engine.logits(row).begin(), engine.logits(row).end());
      }
    };
    keep();
    for (size_t i = 64; i < tokens.size(); ++i) {
      engine.add(sequence, std::span(tokens).subspan(i, 1), WantLogits::all);
      engine.run();
      keep();
    }
    if (best.empty()) best = logits;
    EXPECT_LE(test::relative_error(logits, best), 1e-5);
  });
  if (targets == 1) GTEST_SKIP() << "this machine supports one target only";
}

}  // namespace
}  // namespace weft

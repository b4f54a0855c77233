// Times of runs, and what a profile makes of them.
#include "runtime/plan/profile.h"

#include <gtest/gtest.h>

#include "runtime/generate/engine.h"
#include "tests/errors.h"
#include "tests/small_model.h"

namespace weft {
namespace {

TEST(RunTimes, AreSummedAndTheMedianIsThatOfTheLastOnes) {
  RunTimes times;
  EXPECT_EQ(times.runs(), 0);
  EXPECT_EQ(times.mean(), 0);
  EXPECT_EQ(times.median(), 0);
  times.add(3);
  times.add(1);
  EXPECT_EQ(times.median(), 2);
  times.add(10);
  EXPECT_EQ(times.runs(), 3);
  EXPECT_EQ(times.sum(), 14);
  EXPECT_EQ(times.least(), 1);
  EXPECT_EQ(times.median(), 3);
  for (size_t i = 0; i < RunTimes::kKept; ++i) times.add(7);
  EXPECT_EQ(times.median(), 7);
  EXPECT_EQ(times.least(), 1);  // of all
  times.clear();
  times.add(5);
  EXPECT_EQ(times.least(), 5);
}

TEST(Profile, TheSlowerOfReadingAndComputingIsTheLeastTime) {
  const MachineLimits limits{.threads = 1, .read_bytes = 100, .fma_flops = 1000, .int8_ops = 4000, .amx_flops = 0};
  StepCost cost{.product_flops = 8000, .weight_bytes = 300, .key_bytes = 100};
  EXPECT_EQ(least_time(cost, PeakUnit::fma, limits).seconds, 8);
  EXPECT_FALSE(least_time(cost, PeakUnit::fma, limits).by_reads);
  EXPECT_EQ(least_time(cost, PeakUnit::int8, limits).seconds, 4);
  EXPECT_TRUE(least_time(cost, PeakUnit::int8, limits).by_reads);
  EXPECT_EQ(least_time(cost, PeakUnit::int8, limits, 3).seconds, 6);  // keys of three sequences
  EXPECT_EQ(least_time({.flops = 5, .bytes = 5}, PeakUnit::fma, limits).seconds, 0);
}

// The weights of a decoded token are all weights but the embedding, of which a row is read; keys are those of the
// sequence.
TEST(Profile, CostsTellWeightsFromWhatWasJustWritten) {
  const LanguageModel model = test::small_model({.layers = 2});
  const Engine engine(model, Device::cpu(1), {.context = 16});
  const auto at = [&](int64_t tokens, int64_t keys, int64_t rows = 1) {
    Limits limits;
    limits.set(model.pos_axis, tokens).set(model.rows_axis, rows);
    for (const CacheRecord& cache : model.graph->caches) limits.set(cache.key, keys);
    return engine.plan().costs(limits);
  };
  const auto sum = [](const std::vector<StepCost>& costs, double StepCost::* of) {
    double all = 0;
    for (const StepCost& cost : costs) all += cost.*of;
    return all;
  };
  const std::vector<StepCost> one = at(1, 5), several = at(4, 5), longer = at(1, 10);
  EXPECT_GT(sum(one, &StepCost::weight_bytes), 0);
  EXPECT_EQ(sum(one, &StepCost::weight_bytes), sum(several, &StepCost::weight_bytes));
  EXPECT_EQ(sum(longer, &StepCost::key_bytes), 2 * sum(one, &StepCost::key_bytes));
  EXPECT_LT(sum(one, &StepCost::product_flops), sum(one, &StepCost::flops));
  EXPECT_GT(sum(several, &StepCost::product_flops), 3 * sum(one, &StepCost::product_flops));
  // Where no token needs logits, their weight is not read.
  EXPECT_EQ(at(4, 5, 0).back().weight_bytes, 0);
  EXPECT_GT(at(4, 5, 1).back().weight_bytes, 0);
  EXPECT_EQ(bytes_to_read(one, 2),
            static_cast<size_t>(sum(one, &StepCost::weight_bytes) + 2 * sum(one, &StepCost::key_bytes)));
}

TEST(Profile, SharesAreOfThePlanAndOfTheLimit) {
  const LanguageModel model = test::small_model({.layers = 3});
  Engine engine(model, Device::cpu(1), {.context = 16});
  Plan& plan = engine.plan();
  const int32_t sequence = engine.cache().open();
  engine.prefill(sequence, std::vector<int32_t>{1, 2, 3});
  EXPECT_EQ(plan.run_times().runs(), 0);
  EXPECT_CONTAINS(profile_text(plan, take_profile(plan, "nothing", {}), false), "nothing, runs: 0");
  plan.profile(true);
  for (int i = 0; i < 4; ++i) engine.decode(sequence, 1);
  plan.profile(false);
  engine.decode(sequence, 1);
  PlanProfile profile = take_profile(plan, "decode", {});
  EXPECT_EQ(profile.runs.runs(), 4);
  EXPECT_EQ(profile.starts.runs(), 4);
  ASSERT_EQ(profile.steps.size(), model.graph->steps.size());
  double steps = profile.starts.sum();
  for (const RunTimes& times : profile.steps) {
    EXPECT_EQ(times.runs(), 4);
    EXPECT_LE(times.least(), times.median());
    steps += times.sum();
  }
  EXPECT_LE(steps, profile.runs.sum());

  // Every step takes 10 us, and a step whose products take 5 us at least has half of the limit.
  profile.limits =
      MachineLimits{.threads = 1, .read_size = 1 << 20, .read_bytes = 1e30, .fma_flops = 1e9, .int8_ops = 1e9};
  for (size_t i = 0; i < profile.steps.size(); ++i) {
    profile.steps[i].clear();
    profile.steps[i].add(1e-5);
    profile.costs[i] = {.product_flops = i % 2 == 0 ? 5e3 : 0.0};
  }
  const std::string text = profile_text(plan, profile, true);
  EXPECT_CONTAINS(text, "  500 MFLOP/s  ");
  EXPECT_CONTAINS(text, "     50.0\n");
  EXPECT_CONTAINS(text, "sums per op");
  plan.clear_profile();
  EXPECT_EQ(plan.run_times().runs(), 0);
}

}  // namespace
}  // namespace weft

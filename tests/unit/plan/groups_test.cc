// Running a plan group by group: results, barriers, memory. (The suites' names begin so that they run under
// ThreadSanitizer too.)
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>

#include "core/align.h"
#include "ops/harness/reference.h"
#include "runtime/generate/engine.h"
#include "runtime/plan/plan.h"
#include "tests/allocation_counter.h"
#include "tests/errors.h"
#include "tests/gpu_device.h"
#include "tests/small_model.h"

namespace weft {
namespace {

using test::RecordBuilder;

// RMS norm of operand 0 along `axis`.
void add_norm(Source& source, AxisId axis) {
  ScalarBuilder r, s;
  source.reduced = axis;
  source.reductions = {{ReduceOp::mean, r.finish(r.load(0) * r.load(0))}};
  source.program = s.finish(s.load(0) / sqrt(s.reduction(0) + 1e-5f));
}

// A graph of projections, norms, maps and reductions of what came before, many of which are independent.
struct RandomGraph {
  RecordBuilder b;
  AxisId pos = b.axis("pos"), embed = b.axis("embed", 48);
  ValueId x = b.input("x", {pos, embed});
  std::shared_ptr<const GraphRecord> graph;

  explicit RandomGraph(uint32_t seed) : b(seed) {
    std::mt19937 random(seed);
    std::vector<ValueId> known = {x};
    const auto recent = [&] { return known[known.size() - 1 - random() % std::min<size_t>(known.size(), 4)]; };
    for (int i = 0; i < 16; ++i) {
      const std::string name = "v" + std::to_string(i);
      const ValueId from = recent();
      switch (random() % 4) {
        case 0: known.push_back(project(name, from, false)); break;
        case 1: known.push_back(project(name, from, true)); break;
        case 2: known.push_back(norm(name, from)); break;
        default: {
          ScalarBuilder s;
          known.push_back(b.map(name, {pos, embed}, {from, recent()}, s.finish(s.load(0) * 0.5f + s.load(1))));
        }
      }
    }
    std::vector<ValueId> results(known.end() - 4, known.end());
    results.push_back(known[2]);
    graph = b.build(results);
  }

  // Of x, or of its norm, which takes scratch for all rows.
  ValueId project(const std::string& name, ValueId from, bool normed) {
    const AxisId out = b.axis(name + ".out", 48);
    const ValueId w = b.random_weight(name + ".w", {out, embed}, {48, 48}, 0.2f);
    Region region = b.contraction(from, w, {embed});
    if (normed) add_norm(region.lhs[0], embed);
    const ValueId raw = b.step(StepKind::contract, name + ".raw", std::move(region));
    Region renamed;  // back to the axis `embed`
    renamed.axes = {pos, embed};
    renamed.operands = {b.whole(raw)};
    renamed.operands[0].view[1] = {embed, out, 0, -1};
    renamed.body = {{pos, embed}, kNoAxis, {}, test::load_only(0)};
    return b.step(StepKind::map, name, std::move(renamed));
  }

  ValueId norm(const std::string& name, ValueId from) {
    Region region;
    region.axes = {pos, embed};
    region.operands = {b.whole(from)};
    region.body.axes = region.axes;
    add_norm(region.body, embed);
    return b.step(StepKind::reduce, name, std::move(region));
  }
};

// Every step in the order of the records, by the reference.
std::vector<std::vector<float>> reference_results(const GraphRecord& graph, AxisId pos, int64_t rows,
                                                  std::vector<float> x) {
  std::vector<int64_t> extents;
  for (const AxisRecord& axis : graph.axes) extents.push_back(axis.fixed_extent);
  extents[pos] = rows;
  std::vector<std::vector<float>> values(graph.values.size());
  std::vector<void*> data;
  for (size_t i = 0; i < graph.values.size(); ++i) {
    const ValueRecord& value = graph.values[i];
    if (value.kind == ValueKind::input) values[i] = x;
    else if (value.kind != ValueKind::weight) values[i].resize(static_cast<size_t>(rows) * 48);
    data.push_back(value.kind == ValueKind::weight ? static_cast<void*>(value.storage->data) : values[i].data());
  }
  for (const Step& step : graph.steps) run_reference(graph, step, {extents.data(), data.data(), nullptr, nullptr});
  std::vector<std::vector<float>> results;
  for (const ValueId result : graph.results) results.push_back(values[result]);
  return results;
}

TEST(TeamGroups, RandomGraphsComputeWhatTheReferenceDoes) {
  size_t grouped = 0;
  for (uint32_t seed = 0; seed < 12; ++seed) {
    RandomGraph random(seed);
    const GraphRecord& graph = *random.graph;
    std::mt19937 numbers(seed);
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (const int threads : {1, 2, 4}) {
      SCOPED_TRACE(std::to_string(seed) + ", threads " + std::to_string(threads));
      Plan plan = compile(Device::cpu(threads), random.graph, Limits().set(random.pos, 40),
                          {.precision = Precision::exact, .profile = seed % 3 == 0});
      for (const StepGroup& group : plan.schedule().groups) grouped += group.steps.size() - 1;
      Bindings bindings = plan.bindings();
      for (const int64_t rows : {40, 1, 7}) {
        std::vector<float> x(static_cast<size_t>(rows) * 48);
        for (float& element : x) element = uniform(numbers);
        const auto want = reference_results(graph, random.pos, rows, x);
        bindings.input(random.x, x.data(), {rows, 48});
        plan.run(bindings);
        for (size_t r = 0; r < want.size(); ++r) {
          const std::span<const float> got = plan.output(graph.results[r]).floats();
          ASSERT_EQ(got.size(), want[r].size());
          for (size_t i = 0; i < got.size(); ++i) {
            ASSERT_NEAR(got[i], want[r][i], 1e-4f * (1 + std::fabs(want[r][i]))) << rows << " rows, result " << r;
          }
        }
      }
    }
  }
  EXPECT_GT(grouped, 50u);
}

// x -> a -> {left, right} -> join: three groups, and maps have no barriers of their own.
struct Diamond {
  RecordBuilder b;
  AxisId pos = b.axis("pos"), wide = b.axis("wide", 96);
  ValueId x = b.input("x", {pos, wide});
  ValueId a = sum("a", {x}), left = sum("left", {a}), right = sum("right", {a}), join = sum("join", {left, right});
  std::shared_ptr<const GraphRecord> graph = b.build({join});

  ValueId sum(const std::string& name, const std::vector<ValueId>& operands) {
    ScalarBuilder s;
    auto total = s.load(0) * 2.0f;
    if (operands.size() > 1) total = total + s.load(1);
    return b.map(name, {pos, wide}, operands, s.finish(total));
  }
};

TEST(TeamGroups, ABarrierEndsEachGroup) {
  const std::vector<int64_t> want = {1, 1, 1};
  for (const TeamPolicy policy : {TeamPolicy::fixed, TeamPolicy::adaptive}) {
    for (const int threads : {1, 2, 3}) {
      for (const bool profile : {false, true}) {
        Diamond diamond;
        Plan plan =
            compile(Device::cpu(threads, policy), diamond.graph, Limits().set(diamond.pos, 64), {.profile = profile});
        EXPECT_TRUE(plan.barriers().empty());
        const std::vector<float> x(64 * 96, 1.5f);
        Bindings bindings = plan.bindings();
        bindings.input(diamond.x, x.data(), {64, 96});
        long allocations = 0;  // after a run, in which OpenMP makes its threads
        for (int run = 0; run < 3; ++run) {
          plan.run(bindings);
          const std::span<const int64_t> met = plan.barriers();
          EXPECT_TRUE(std::equal(met.begin(), met.end(), want.begin(), want.end())) << threads << " threads";
          EXPECT_EQ(plan.output(diamond.join).floats()[100], 1.5f * 12);
          if (run == 0) allocations = test::allocations;
        }
        EXPECT_EQ(test::allocations, allocations);
        if (!profile) continue;
        for (const StepInfo& step : plan.steps()) EXPECT_EQ(step.times.runs(), 3);
      }
    }
  }
}

// A contraction of a norm waits between its phases if there are many rows.
TEST(TeamGroups, BarriersWithinStepsCount) {
  RecordBuilder b;
  const AxisId pos = b.axis("pos"), embed = b.axis("embed"), out = b.axis("out");
  const ValueId x = b.input("x", {pos, embed});
  const ValueId w = b.random_weight("w", {out, embed}, {32, 64});
  const ValueId y = b.contract("y", x, w, {embed});
  Plan plan = compile(Device::cpu(2), b.build({y}), Limits().set(pos, 64), {.precision = Precision::exact});
  const std::vector<float> rows(64 * 64, 1);
  Bindings bindings = plan.bindings();
  bindings.input(x, rows.data(), {1, 64});
  plan.run(bindings);
  EXPECT_EQ(plan.barriers()[0], 1);
  bindings.input(x, rows.data(), {64, 64});
  plan.run(bindings);  // many rows are packed first
  EXPECT_EQ(plan.barriers()[0], 2);
}

TEST(TeamGroups, ALayerOfTheSmallModelHasThree) {
  for (const int threads : {1, 2}) {
    Engine engine(test::small_model({.layers = 3}), Device::cpu(threads), {.context = 16, .batch = 8});
    const int32_t sequence = engine.cache().open();
    engine.prefill(sequence, std::vector<int32_t>{1, 2, 3});
    engine.decode(sequence, 4);
    // The embedding, then of each layer {query, append}, attention and output, then the last row and the logits.
    EXPECT_EQ(engine.plan().barriers().size(), 1u + 3 * 3 + 2);
    const std::span<const int64_t> met = engine.plan().barriers();
    EXPECT_EQ(std::accumulate(met.begin(), met.end(), int64_t{0}), 1 + 3 * 3 + 2);
    const std::string text = engine.plan().explain();
    EXPECT_CONTAINS(text, "groups     12: 3 per layer; a barrier ends every group\n");
    EXPECT_CONTAINS(text, "           blk.0-2.query, blk.0-2.append share ");
    EXPECT_CONTAINS(text, "barriers   12 per run, 3 per layer\n");
    const std::string every = engine.plan().explain({}, true);
    EXPECT_CONTAINS(every, "#  group  step ");
    EXPECT_CONTAINS(every, " 2      1  blk.0.append ");
    const auto json = nlohmann::json::parse(engine.plan().explain_json());
    EXPECT_EQ(json["barriers"], 12);
    EXPECT_EQ(json["barriers_per_layer"], 3);
    EXPECT_EQ(json["groups"][1]["steps"], (std::vector<std::string>{"blk.0.query", "blk.0.append"}));
    EXPECT_EQ(json["groups"][1]["shares"], (std::vector<std::string>{"x", "pos"}));
    EXPECT_EQ(json["groups"][1]["barriers"], 1);
    EXPECT_EQ(json["groups"][1]["device"], 0);
    EXPECT_EQ(json["steps"][2]["group"], 1);
  }
}

TEST(TeamGroups, OpenClRunsThemInOrder) {
  if (!test::opencl_device()) GTEST_SKIP() << "no OpenCL device";
  Diamond diamond;
  Plan plan = compile(*test::opencl_device(), diamond.graph, Limits().set(diamond.pos, 4));
  const std::vector<float> x(4 * 96, 1.5f);
  Bindings bindings = plan.bindings();
  bindings.input(diamond.x, x.data(), {4, 96});
  plan.run(bindings);
  EXPECT_EQ(plan.output(diamond.join).floats()[100], 1.5f * 12);
  EXPECT_TRUE(plan.barriers().empty());
  EXPECT_EQ(plan.explain().find("barrier"), std::string::npos);
}

// Steps of a group that overlap have scratch of their own; one thread needs only that of one step at a time.
TEST(TeamGroups, ScratchLiesSideBySideOnlyWhereStepsOverlap) {
  for (const int threads : {1, 2}) {
    RecordBuilder b;
    const AxisId pos = b.axis("pos"), embed = b.axis("embed"), out = b.axis("out");
    const ValueId x = b.input("x", {pos, embed});
    const ValueId q = b.contract("q", x, b.random_weight("wq", {out, embed}, {32, 64}), {embed});
    const ValueId k = b.contract("k", x, b.random_weight("wk", {out, embed}, {32, 64}), {embed});
    const Plan plan = compile(Device::cpu(threads), b.build({q, k}), Limits().set(pos, 64));
    ASSERT_EQ(plan.schedule().groups.size(), 1u);
    const size_t one = align_up(plan.steps()[0].scratch_bytes), other = align_up(plan.steps()[1].scratch_bytes);
    ASSERT_GT(std::min(one, other), 0u);
    // The rows of x in tiles, those of a thread alone included, are there once.
    const size_t shared = 64 * 64 * sizeof(float) * static_cast<size_t>(1 + threads);
    EXPECT_EQ(plan.memory().scratch, (threads == 1 ? std::max(one, other) : one + other) + shared);
    EXPECT_EQ(plan.memory().arena, plan.memory().scratch + plan.memory().intermediates);
  }
}

// Steps that multiply the same rows prepare them once: all threads meet after that, and at the end of the group.
TEST(TeamGroups, RowsArePreparedOnceForAGroup) {
  for (const bool normed : {false, true}) {
    RecordBuilder b;
    const AxisId pos = b.axis("pos"), embed = b.axis("embed", 48);
    const ValueId x = b.input("x", {pos, embed});
    std::vector<ValueId> results;
    for (const char* name : {"q", "k", "v"}) {
      const AxisId out = b.axis(name, 48);
      Region region = b.contraction(x, b.random_weight(name, {out, embed}, {48, 48}), {embed});
      if (normed) add_norm(region.lhs[0], embed);
      results.push_back(b.step(StepKind::contract, name, std::move(region)));
    }
    const auto graph = b.build(results);
    Plan plan = compile(Device::cpu(2), graph, Limits().set(pos, 100), {.precision = Precision::exact});
    ASSERT_EQ(plan.schedule().groups.size(), 1u);
    Bindings bindings = plan.bindings();
    std::mt19937 numbers(3);
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (const int64_t rows : {100, 1, 37}) {
      std::vector<float> elements(static_cast<size_t>(rows) * 48);
      for (float& element : elements) element = uniform(numbers);
      bindings.input(x, elements.data(), {rows, 48});
      plan.run(bindings);
      // Many rows are evaluated, then brought into tiles; of a few, each thread does both for itself.
      EXPECT_EQ(plan.barriers()[0], rows == 1 ? 1 : normed ? 3 : 2) << rows << " rows, normed: " << normed;
      const auto expected = reference_results(*graph, pos, rows, elements);
      for (size_t i = 0; i < results.size(); ++i) {
        const std::span<const float> got = plan.output(results[i]).floats();
        for (size_t j = 0; j < got.size(); ++j) ASSERT_NEAR(got[j], expected[i][j], 1e-4) << i << ", " << j;
      }
    }
  }
}

}  // namespace
}  // namespace weft

#include "runtime/plan/plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "ops/ops.h"
#include "runtime/plan/eval.h"
#include "tests/allocation_counter.h"
#include "tests/errors.h"
#include "tests/record_builder.h"

namespace weft {
namespace {

using test::error_of;
using test::RecordBuilder;

std::vector<float> ramp(size_t count, float first = 0) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

// y = (x . w) + x0, z = 2 y, with x<pos, embed>, w<out, embed>: three steps.
struct Chain {
  RecordBuilder b;
  AxisId pos = b.axis("pos"), embed = b.axis("embed"), out = b.axis("out");
  ValueId x = b.input("x", {pos, embed});
  ValueId w = b.weight("w", {out, embed}, {2, 3}, {1, 0, -1, 2, 2, 2});
  ValueId y, z, last;
  std::shared_ptr<const GraphRecord> graph;

  Chain() {
    y = b.contract("y", x, w, {embed});
    ScalarBuilder s;
    z = b.map("z", {pos, out}, {y}, s.finish(s.load(0) * 2.0f));
    ScalarBuilder t;
    last = b.map("last", {pos, out}, {z, y}, t.finish(t.load(0) + t.load(1)));
    graph = b.build({last});
  }
};

TEST(Plan, RunsAGraphForAnyExtentWithinItsLimits) {
  for (const int threads : {1, 2}) {
    Chain chain;
    Plan plan = compile(Device::cpu(threads), chain.graph, Limits().set(chain.pos, 5));
    Bindings bindings = plan.bindings();
    for (const int64_t rows : {2, 5, 1, 0, 3}) {
      const std::vector<float> x = ramp(static_cast<size_t>(rows) * 3);
      bindings.input(chain.x, x.data(), {rows, 3});
      plan.run(bindings);
      const Output output = plan.output(chain.last);
      ASSERT_EQ(output.rank, 2);
      EXPECT_EQ(output.extents[0], rows);
      EXPECT_EQ(output.extents[1], 2);
      const std::span<const float> got = output.floats();
      for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
        const float* in = x.data() + row * 3;
        EXPECT_FLOAT_EQ(got[row * 2], 3 * (in[0] - in[2]));
        EXPECT_FLOAT_EQ(got[row * 2 + 1], 3 * 2 * (in[0] + in[1] + in[2]));
      }
    }
  }
}

// Of positions and token ids, one outside of a table is an error; other ids read as zero.
TEST(Plan, IdsStayWithinTheirTables) {
  struct Row : axis<"row"> {};
  struct Place : axis<"place"> {};
  struct Width : axis<"width"> {};
  const Tensor<f32, Place, Width> table({4, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  Graph graph;
  const auto pos = graph.positions<Row>("pos");
  const auto tokens = graph.ids<Row>("tokens");
  const auto others = graph.input<i32, Row>("others");
  const auto y = materialize(at<Place>(table, pos) + at<Place>(table, others), "y");
  const auto z = materialize(at<Place>(table, tokens) * 2.0f, "z");
  graph.result(y);
  graph.result(z);
  Plan plan = compile(Device::cpu(1), graph.record(), Limits().set(graph.axis<Row>(), 4));
  Bindings bindings = plan.bindings();
  const auto run = [&](std::vector<int32_t> at_pos, std::vector<int32_t> ids, std::vector<int32_t> other) {
    const auto rows = static_cast<int64_t>(at_pos.size());
    bindings.input(pos.id(), at_pos.data(), {rows});
    bindings.input(tokens.id(), ids.data(), {rows});
    bindings.input(others.id(), other.data(), {rows});
    return error_of([&] { plan.run(bindings); });
  };
  EXPECT_EQ(run({0, 3}, {3, 0}, {-1, 9}), "(no error)");
  EXPECT_EQ(plan.output(y.id()).floats()[3], 8.0f);
  const std::string table_name = graph.record()->values[graph.record()->steps[0].regions[0].operands[1].value].name;
  EXPECT_EQ(run({0, 4}, {0, 0}, {0, 0}),
            "input 'pos' has 4 as element 1, but axis 'place' of '" + table_name + "' has extent 4");
  EXPECT_EQ(run({0, 1}, {-1, 0}, {0, 0}),
            "input 'tokens' has -1 as element 0, but axis 'place' of '" + table_name + "' has extent 4");
  EXPECT_EQ(run({}, {}, {}), "(no error)");
  EXPECT_EQ(run({1}, {2}, {0}), "(no error)");  // the plan is as good as before
}

TEST(Plan, InputsAreCheckedWhenTheyAreBound) {
  Chain chain;
  Plan plan = compile(Device::cpu(1), chain.graph, Limits().set(chain.pos, 5));
  const std::vector<float> x = ramp(64);
  Bindings bindings = plan.bindings();
  EXPECT_EQ(error_of([&] { plan.run(bindings); }), "input 'x' is not bound");
  bindings.input(chain.x, x.data(), {2, 4});
  EXPECT_EQ(error_of([&] { plan.run(bindings); }), "axis 'embed' is 3 in weight 'w' but 4 in input 'x'");
  bindings.input(chain.x, x.data(), {6, 3});
  EXPECT_EQ(error_of([&] { plan.run(bindings); }), "axis 'pos' is 6 in input 'x', above the plan's limit of 5");
  bindings.input(chain.x, x.data(), {-1, 3});
  EXPECT_EQ(error_of([&] { plan.run(bindings); }), "axis 'pos' has extent -1 in input 'x'");
  bindings.input(chain.x, nullptr, {1, 3});
  EXPECT_EQ(error_of([&] { plan.run(bindings); }), "input 'x' is bound to no data");
  EXPECT_EQ(error_of([&] { bindings.input(chain.x, x.data(), {6}); }),
            "input 'x' has 2 axes, but 1 extents were given");
  EXPECT_EQ(error_of([&] { bindings.input(chain.w, x.data(), {2, 3}); }), "'w' is not an input");
  EXPECT_EQ(error_of([&] { plan.output(chain.z); }), "value 'z' is not among the graph's results");
  bindings.input(chain.x, x.data(), {1, 3});
  EXPECT_NO_THROW(plan.run(bindings));
  Chain other;
  Plan second = compile(Device::cpu(1), other.graph, Limits().set(other.pos, 5));
  EXPECT_EQ(error_of([&] { second.run(bindings); }), "the bindings belong to another graph");
}

TEST(Plan, RunsAllocateNothing) {
  for (const int threads : {1, 2}) {
    Chain chain;
    Plan plan = compile(Device::cpu(threads), chain.graph, Limits().set(chain.pos, 64));
    const std::vector<float> x = ramp(64 * 3);
    Bindings bindings = plan.bindings();
    bindings.input(chain.x, x.data(), {1, 3});
    plan.run(bindings);  // OpenMP makes its threads
    const long before = test::allocations;
    float sum = 0;
    for (int64_t rows = 1; rows <= 64; ++rows) {
      bindings.input(chain.x, x.data(), {rows, 3});
      plan.run(bindings);
      sum += plan.output(chain.last).floats()[0];
    }
    EXPECT_EQ(test::allocations - before, 0) << threads << " threads";
    EXPECT_TRUE(std::isfinite(sum));
  }
}

TEST(Plan, TheCounterCounts) {
  const long before = test::allocations;
  std::vector<int> some(100);
  asm volatile("" : : "r"(some.data()) : "memory");  // or the allocation may be left out
  EXPECT_GT(test::allocations - before, 0);
}

TEST(Plan, IntermediatesShareMemoryAndResultsStay) {
  RecordBuilder b;
  const AxisId pos = b.axis("pos"), wide = b.axis("wide", 64);
  const ValueId x = b.input("x", {pos, wide});
  std::vector<ValueId> values = {x};
  ValueId early = kNoValue;
  for (int i = 0; i < 12; ++i) {
    ScalarBuilder s;
    values.push_back(b.map("v" + std::to_string(i), {pos, wide}, {values.back()}, s.finish(s.load(0) + 1.0f)));
    if (i == 2) early = values.back();
  }
  auto graph = b.build({values.back(), early});
  Plan plan = compile(Device::cpu(1), graph, Limits().set(pos, 4));
  EXPECT_EQ(plan.memory().intermediates, 12u * 4 * 64 * 4);
  EXPECT_LE(plan.memory().arena, 4u * 4 * 64 * 4 + plan.memory().scratch);
  const std::vector<float> data = ramp(4 * 64);
  Bindings bindings = plan.bindings();
  bindings.input(x, data.data(), {4, 64});
  plan.run(bindings);
  EXPECT_EQ(plan.output(values.back()).floats()[7], 7 + 12);
  EXPECT_EQ(plan.output(early).floats()[7], 7 + 3);
}

TEST(Plan, TransposedWeightsArePackedOnce) {
  RecordBuilder b;
  const AxisId pos = b.axis("pos"), embed = b.axis("embed"), out = b.axis("out");
  const ValueId x = b.input("x", {pos, embed});
  const ValueId w = b.weight("w", {embed, out}, {3, 2}, {1, 2, 0, 2, -1, 2});
  const ValueId y = b.contract("y", x, w, {embed});
  const ValueId again = b.contract("again", x, w, {embed});
  Plan plan = compile(Device::cpu(1), b.build({y, again}), Limits().set(pos, 2));
  EXPECT_EQ(plan.memory().weights, 6u * 4);
  EXPECT_EQ(plan.memory().packed_weights, 6u * 4);
  Bindings bindings = plan.bindings();
  const std::vector<float> data = {1, 2, 3};
  bindings.input(x, data.data(), {1, 3});
  plan.run(bindings);
  for (const ValueId result : {y, again}) {
    EXPECT_FLOAT_EQ(plan.output(result).floats()[0], -2);
    EXPECT_FLOAT_EQ(plan.output(result).floats()[1], 12);
  }
}

TEST(Plan, EmptyGraphAndResultsThatAreInputs) {
  RecordBuilder b;
  const AxisId pos = b.axis("pos");
  const ValueId x = b.input("x", {pos});
  Plan plan = compile(Device::cpu(2), b.build({x}), Limits().set(pos, 2));
  const std::vector<float> data = {3, 4};
  Bindings bindings = plan.bindings();
  bindings.input(x, data.data(), {2});
  plan.run(bindings);
  EXPECT_EQ(plan.output(x).floats()[1], 4);
}

TEST(Plan, AxesThatNoInputHas) {
  RecordBuilder b;
  const AxisId n = b.axis("n");
  ScalarBuilder s;
  const ValueId y = b.map("y", {n}, {}, s.finish(s.index(n) * s.constant(3)));
  Plan plan = compile(Device::cpu(1), b.build({y}), Limits().set(n, 8));
  Bindings bindings = plan.bindings();
  EXPECT_EQ(error_of([&] { plan.run(bindings); }), "axis 'n' has no extent in this run: no input has it");
  bindings.extent(n, 4);
  plan.run(bindings);
  const std::span<const int32_t> got = plan.output(y).ints();
  EXPECT_EQ(std::vector<int32_t>(got.begin(), got.end()), (std::vector<int32_t>{0, 3, 6, 9}));
  EXPECT_EQ(error_of([&] { plan.output(y).floats(); }), "the result holds I32, not F32");
}

TEST(Plan, ExplainCountsWhatStepsDo) {
  Chain chain;
  PlanOptions options;
  options.profile = true;
  Plan plan = compile(Device::cpu(1), chain.graph, Limits().set(chain.pos, 5), options);
  const auto json = nlohmann::json::parse(plan.explain_json(Limits().set(chain.pos, 4)));
  ASSERT_EQ(json["steps"].size(), 3u);
  EXPECT_EQ(json["steps"][0]["flops"], 4.0 * 2 * 3 * 2);
  EXPECT_EQ(json["steps"][0]["bytes"], (4.0 * 3 + 2 * 3 + 4 * 2) * 4);
  EXPECT_EQ(json["steps"][1]["flops"], 4.0 * 2);
  EXPECT_EQ(json["steps"][2]["bytes"], 3.0 * 4 * 2 * 4);
  EXPECT_EQ(json["steps"][0]["writes"][0]["axes"][0]["axis"], "pos");
  EXPECT_EQ(json["steps"][0]["writes"][0]["axes"][0]["run_time"], true);
  EXPECT_FALSE(json["steps"][0].contains("seconds_per_run"));
  EXPECT_CONTAINS(plan.explain(), "F32<pos\u22645, out 2>");
  EXPECT_CONTAINS(plan.explain(Limits().set(chain.pos, 4)), "F32<pos 4, out 2>");

  const std::vector<float> x = ramp(15);
  Bindings bindings = plan.bindings();
  bindings.input(chain.x, x.data(), {5, 3});
  plan.run(bindings);
  plan.run(bindings);
  EXPECT_EQ(plan.steps()[2].times.runs(), 2);
  EXPECT_CONTAINS(plan.explain(), "us/run");
}

TEST(Plan, PassesPrintThemselves) {
  Chain chain;
  PlanOptions options;
  options.print_passes = true;
  testing::internal::CaptureStderr();
  compile(Device::cpu(1), chain.graph, Limits().set(chain.pos, 5), options);
  const std::string printed = testing::internal::GetCapturedStderr();
  for (const char* pass : {"pass verify", "pass bind", "pass schedule", "pass select kernels", "pass plan memory"}) {
    EXPECT_CONTAINS(printed, pass);
  }
  EXPECT_CONTAINS(printed, "axis pos <= 5");
  testing::internal::CaptureStderr();
  compile(Device::cpu(1), chain.graph, Limits().set(chain.pos, 5));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Eval, RunsOnce) {
  Chain chain;
  const std::vector<float> x = ramp(6);
  const std::vector<EvalInput> inputs = {{chain.x, x.data(), {2, 3}}};
  const std::vector<EvalResult> results = evaluate(Device::cpu(1), chain.graph, inputs);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].extents, (std::vector<int64_t>{2, 2}));
  ASSERT_EQ(results[0].bytes.size(), 4 * sizeof(float));
  float first = 0;
  std::memcpy(&first, results[0].bytes.data(), sizeof first);
  EXPECT_FLOAT_EQ(first, -6);
  const std::vector<EvalInput> wrong = {{chain.x, x.data(), {3, 2}}};
  EXPECT_EQ(error_of([&] { evaluate(Device::cpu(1), chain.graph, wrong); }),
            "axis 'embed' is 3 in weight 'w' but 2 in input 'x'");
}

}  // namespace
}  // namespace weft

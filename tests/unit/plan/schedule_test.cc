// The schedule pass: what steps depend on, and which of them form groups.
#include "runtime/plan/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "core/record/verify.h"
#include "core/record/visit.h"
#include "runtime/plan/extents.h"
#include "tests/errors.h"
#include "tests/small_model.h"

namespace weft {
namespace {

using test::error_of;
using test::RecordBuilder;
using Names = std::vector<std::vector<std::string>>;

Names names(const GraphRecord& graph, const Schedule& schedule) {
  Names result;
  for (const StepGroup& group : schedule.groups) {
    result.emplace_back();
    for (const size_t step : group.steps) result.back().push_back(graph.steps[step].name);
  }
  return result;
}

// With `pos` of 4, and other axes as their weights or types say.
Schedule scheduled(const GraphRecord& graph, AxisId pos, std::span<const DeviceIndex> devices = {}) {
  verify(graph);
  const ExtentTable limits = ExtentTable::of_limits(ExtentTable::of_graph(graph), Limits().set(pos, 4));
  return schedule_steps(graph, limits.data(), devices);
}

// Maps over [pos, wide] by their names.
struct Maps {
  RecordBuilder b;
  AxisId pos = b.axis("pos"), wide = b.axis("wide", 8);
  std::map<std::string, ValueId> values;

  explicit Maps(const std::vector<std::string>& inputs = {"x"}) {
    for (const std::string& name : inputs) values[name] = b.input(name, {pos, wide});
  }
  void map(const std::string& name, const std::vector<std::string>& operands) {
    ScalarBuilder s;
    auto sum = s.load(0) * 2.0f;
    std::vector<ValueId> read;
    for (size_t i = 0; i < operands.size(); ++i) {
      read.push_back(values.at(operands[i]));
      if (i > 0) sum = sum + s.load(static_cast<int>(i));
    }
    values[name] = b.map(name, {pos, wide}, read, s.finish(sum));
  }
  Names groups(const std::vector<std::string>& results, std::span<const DeviceIndex> devices = {}) {
    b.graph.results.clear();
    for (const std::string& name : results) b.graph.results.push_back(values.at(name));
    return names(b.graph, scheduled(b.graph, pos, devices));
  }
};

TEST(Schedule, TheMiddleOfADiamondIsAGroup) {
  Maps maps;
  maps.map("a", {"x"});
  maps.map("left", {"a"});
  maps.map("right", {"a"});
  maps.map("join", {"left", "right"});
  EXPECT_EQ(maps.groups({"join"}), (Names{{"a"}, {"left", "right"}, {"join"}}));
}

TEST(Schedule, StepsOfAChainStayAlone) {
  Maps maps;
  maps.map("a", {"x"});
  maps.map("b", {"a", "x"});
  maps.map("c", {"b", "x", "a"});
  EXPECT_EQ(maps.groups({"c"}), (Names{{"a"}, {"b"}, {"c"}}));
}

// Nothing is gained by moving steps that share no input.
TEST(Schedule, IndependentStepsThatShareNothingStayAsRecorded) {
  Maps maps({"x", "y"});
  maps.map("a", {"x"});
  maps.map("b", {"y"});
  maps.map("a2", {"a"});
  maps.map("b2", {"b"});
  EXPECT_EQ(maps.groups({"a2", "b2"}), (Names{{"a"}, {"b"}, {"a2"}, {"b2"}}));
}

// q, its norm, k, its norm, v: the projections come together, what follows keeps its order.
TEST(Schedule, AStepJoinsFromBehindOthers) {
  Maps maps;
  maps.map("q", {"x"});
  maps.map("q_norm", {"q"});
  maps.map("k", {"x"});
  maps.map("k_norm", {"k"});
  maps.map("v", {"x"});
  maps.map("out", {"q_norm", "k_norm", "v"});
  EXPECT_EQ(maps.groups({"out"}), (Names{{"q", "k", "v"}, {"q_norm"}, {"k_norm"}, {"out"}}));
}

TEST(Schedule, AStepThatWaitsForAMemberDoesNotJoin) {
  Maps maps;
  maps.map("a", {"x"});
  maps.map("b", {"x", "a"});  // shares x with a, and reads a
  maps.map("c", {"x", "b"});
  maps.map("d", {"x"});
  maps.map("end", {"a", "b", "c", "d"});
  EXPECT_EQ(maps.groups({"end"}), (Names{{"a", "d"}, {"b"}, {"c"}, {"end"}}));
}

TEST(Schedule, WeightsAreNotShared) {
  RecordBuilder b;
  const AxisId pos = b.axis("pos"), wide = b.axis("wide"), out = b.axis("out");
  const ValueId x = b.input("x", {pos, wide}), y = b.input("y", {pos, wide});
  const ValueId w = b.random_weight("w", {out, wide}, {3, 2});
  const ValueId xw = b.contract("xw", x, w, {wide}), yw = b.contract("yw", y, w, {wide});
  b.build({xw, yw});
  EXPECT_EQ(names(b.graph, scheduled(b.graph, pos)), (Names{{"xw"}, {"yw"}}));
}

// Each pair ends in a narrow value before the next begins. All wide ones at once would take four times the memory.
TEST(Schedule, NoStepJoinsWhereThatTakesMoreMemory) {
  RecordBuilder b;
  const AxisId pos = b.axis("pos"), wide = b.axis("wide", 64);
  const ValueId x = b.input("x", {pos, wide});
  std::vector<ValueId> results;
  for (int i = 0; i < 4; ++i) {
    ScalarBuilder s;
    const std::string at = std::to_string(i);
    const ValueId y = b.map("wide" + at, {pos, wide}, {x}, s.finish(s.load(0) + static_cast<float>(i)));
    Region region;
    region.axes = {pos};
    region.operands = {b.whole(y)};
    region.body = {{pos}, wide, {{ReduceOp::sum, test::load_only(0)}}, {}};
    ScalarBuilder t;
    region.body.program = t.finish(t.reduction(0));
    results.push_back(b.step(StepKind::reduce, "sum" + at, std::move(region)));
  }
  b.build(results);
  EXPECT_EQ(names(b.graph, scheduled(b.graph, pos)),
            (Names{{"wide0"}, {"sum0"}, {"wide1"}, {"sum1"}, {"wide2"}, {"sum2"}, {"wide3"}, {"sum3"}}));
}

TEST(Schedule, AGroupIsOnOneDevice) {
  Maps maps;
  for (const char* name : {"a", "b", "c", "d"}) maps.map(name, {"x"});
  const std::vector<DeviceIndex> devices = {0, 1, 0, 1};
  EXPECT_EQ(maps.groups({"a", "b", "c", "d"}, devices), (Names{{"a", "c"}, {"b", "d"}}));
  const Schedule schedule = scheduled(maps.b.graph, maps.pos, devices);
  EXPECT_EQ(schedule.devices, devices);
  EXPECT_EQ(schedule.groups[0].device, 0u);
  EXPECT_EQ(schedule.groups[1].device, 1u);
  EXPECT_EQ(scheduled(maps.b.graph, maps.pos).devices, std::vector<DeviceIndex>(4, 0));
  EXPECT_EQ(error_of([&] { scheduled(maps.b.graph, maps.pos, std::span(devices).first(3)); }),
            "schedule: 3 devices are given for 4 steps");
}

Schedule schedule_of(const LanguageModel& model) {
  Limits limits;
  limits.set(model.pos_axis, 8).set(model.rows_axis, 1).set(model.graph->caches[0].key, 16);
  const ExtentTable table = ExtentTable::of_limits(ExtentTable::of_graph(*model.graph), limits);
  return schedule_steps(*model.graph, table.data());
}

TEST(Schedule, QueriesAndTheAppendOfKeysAndValuesShareTheHiddenState) {
  const LanguageModel model = test::small_model({.layers = 3});
  const GraphRecord& graph = *model.graph;
  const Schedule schedule = schedule_of(model);
  Names want = {{"x"}};
  for (const std::string at : {"blk.0.", "blk.1.", "blk.2."}) {
    want.insert(want.end(), {{at + "query", at + "append"}, {at + "attention"}, {at + "out"}});
  }
  want.insert(want.end(), {{"last_rows"}, {"logits"}});
  EXPECT_EQ(names(graph, schedule), want);
  for (size_t g = 0; g < schedule.groups.size(); ++g) {
    for (const size_t step : schedule.groups[g].steps) EXPECT_EQ(schedule.group_of[step], g);
  }

  const StepGroup& first = schedule.groups[1];
  const ValueId x = graph.steps[0].outputs[0];
  EXPECT_EQ(std::set<ValueId>(first.shared.begin(), first.shared.end()), (std::set<ValueId>{x, model.position}));
  const size_t query = first.steps[0], append = first.steps[1];
  const std::vector<ContractionRef> rows = {{query, 0, 0}, {append, 0, 0}, {append, 1, 0}};
  ASSERT_EQ(first.shared_rows.size(), 1u);
  EXPECT_EQ(first.shared_rows[0], rows);
  EXPECT_NE(to_string(graph, schedule).find("group 1 on device 0: blk.0.query, blk.0.append; shared: x, pos\n"),
            std::string::npos)
      << to_string(graph, schedule);
}

TEST(Schedule, AttentionWaitsForItsCacheOnly) {
  const LanguageModel model = test::small_model({.layers = 2});
  const GraphRecord& graph = *model.graph;
  std::map<std::string, std::vector<std::string>> before;
  const std::vector<std::vector<size_t>> dependencies = step_dependencies(graph);
  for (size_t s = 0; s < graph.steps.size(); ++s) {
    std::vector<std::string>& list = before[graph.steps[s].name];
    for (const size_t step : dependencies[s]) list.push_back(graph.steps[step].name);
  }
  using List = std::vector<std::string>;
  EXPECT_EQ(before["blk.0.append"], List{"x"});
  EXPECT_EQ(before["blk.0.attention"], (List{"blk.0.query", "blk.0.append"}));
  EXPECT_EQ(before["blk.1.append"], List{"blk.0.out"});
  EXPECT_EQ(before["blk.1.attention"], (List{"blk.1.query", "blk.1.append"}));
  EXPECT_EQ(before["logits"], List{"last_rows"});
}

// An attention recorded before the append to its cache sees the tokens of earlier runs only.
TEST(Schedule, AnAppendWaitsForAttentionRecordedBeforeIt) {
  LanguageModel model = test::small_model({.layers = 2});
  GraphRecord graph = *model.graph;
  const auto position = [&graph](const std::string& name) {
    return std::find_if(graph.steps.begin(), graph.steps.end(), [&](const Step& step) { return step.name == name; });
  };
  std::iter_swap(position("blk.0.append"), position("blk.0.attention"));
  verify(graph);
  const std::vector<std::vector<size_t>> dependencies = step_dependencies(graph);
  const auto attention = static_cast<size_t>(position("blk.0.attention") - graph.steps.begin());
  const auto append = static_cast<size_t>(position("blk.0.append") - graph.steps.begin());
  EXPECT_EQ(dependencies[attention], std::vector<size_t>{1});  // the query
  EXPECT_EQ(dependencies[append], (std::vector<size_t>{0, attention}));
  model.graph = std::make_shared<const GraphRecord>(graph);
  const Schedule schedule = schedule_of(model);
  EXPECT_LT(schedule.group_of[attention], schedule.group_of[append]);
}

// Rows of contractions are the same whatever the place of their operands, and only if they are computed alike.
TEST(Schedule, EqualRowsAreFound) {
  RecordBuilder b;
  const AxisId pos = b.axis("pos"), in1 = b.axis("in1"), in2 = b.axis("in2"), out = b.axis("out");
  const ValueId x = b.input("x", {pos, in1, in2});
  const ValueId gain = b.random_weight("gain", {in2}, {2});
  const ValueId w = b.random_weight("w", {out, in1, in2}, {5, 3, 2});
  const ValueId turned = b.random_weight("turned", {out, in2, in1}, {5, 2, 3});
  // The norm of x over in2 if `order` says where x, the gain and the weight are among the operands.
  const auto normed = [&](const std::string& name, std::array<int, 3> order, ReduceOp op, ValueId weight) {
    Region region = b.contraction(x, weight, weight == w ? std::vector{in1, in2} : std::vector{in2, in1});
    region.operands.resize(3);
    region.operands[static_cast<size_t>(order[0])] = b.whole(x);
    region.operands[static_cast<size_t>(order[1])] = b.whole(gain);
    region.operands[static_cast<size_t>(order[2])] = b.whole(weight);
    region.contractions[0].rhs = order[2];
    ScalarBuilder r, s;
    region.lhs[0].reduced = in2;
    region.lhs[0].reductions = {{op, r.finish(r.load(order[0]) * r.load(order[0]))}};
    region.lhs[0].program = s.finish(s.load(order[0]) * s.load(order[1]) / s.reduction(0));
    return b.step(StepKind::contract, name, std::move(region));
  };
  const std::vector<ValueId> results = {
      normed("a", {0, 1, 2}, ReduceOp::sum, w), normed("b", {2, 0, 1}, ReduceOp::sum, w),
      normed("other_norm", {0, 1, 2}, ReduceOp::max, w), normed("other_order", {0, 1, 2}, ReduceOp::sum, turned),
      b.contract("plain", x, w, {in1, in2})};
  b.build(results);
  const Schedule schedule = scheduled(b.graph, pos);
  ASSERT_EQ(names(b.graph, schedule), (Names{{"a", "b", "other_norm", "other_order", "plain"}}));
  const std::vector<ContractionRef> rows = {{0, 0, 0}, {1, 0, 0}};
  ASSERT_EQ(schedule.groups[0].shared_rows.size(), 1u);
  EXPECT_EQ(schedule.groups[0].shared_rows[0], rows);
  const auto name_of = [&](ValueId value) { return b.graph.values[value].name; };
  EXPECT_EQ(shared_inputs(b.graph, schedule.groups[0], name_of), std::vector<std::string>{"norm of x"});
}

TEST(Schedule, GroupsWhoseScratchTakesTooMuchAreDivided) {
  Maps maps;
  for (const char* name : {"a", "b", "c", "d", "e"}) maps.map(name, {"x"});
  maps.map("end", {"a", "b", "c", "d", "e"});
  maps.b.graph.results = {maps.values.at("end")};
  const GraphRecord& graph = maps.b.graph;
  const ExtentTable limits = ExtentTable::of_limits(ExtentTable::of_graph(graph), Limits().set(maps.pos, 4));
  const size_t mb = size_t{1} << 20;  // a value has 128 bytes
  const auto divided = [&](const std::vector<size_t>& scratch) {
    Schedule schedule = schedule_steps(graph, limits.data());
    EXPECT_EQ(schedule.groups.size(), 2u);
    limit_memory(schedule, graph, limits.data(), scratch);
    for (size_t g = 0; g < schedule.groups.size(); ++g) {
      for (const size_t step : schedule.groups[g].steps) EXPECT_EQ(schedule.group_of[step], g);
    }
    return names(graph, schedule);
  };
  EXPECT_EQ(divided({0, 0, 0, 0, 0, 0}), (Names{{"a", "b", "c", "d", "e"}, {"end"}}));
  EXPECT_EQ(divided({mb, mb, mb, mb, 0, 0}), (Names{{"a", "b", "c", "d", "e"}, {"end"}}));
  EXPECT_EQ(divided({4 * mb, 4 * mb, 4 * mb, 4 * mb, 4 * mb, 0}), (Names{{"a", "b"}, {"c", "d"}, {"e"}, {"end"}}));
  EXPECT_EQ(divided({64 * mb, 64 * mb, 0, 0, 0, 0}), (Names{{"a"}, {"b", "c", "d", "e"}, {"end"}}));
  // Where another step needs more, they fit.
  EXPECT_EQ(divided({64 * mb, 64 * mb, 0, 0, 0, 100 * mb}), (Names{{"a", "b", "c", "d", "e"}, {"end"}}));
}

// Whatever the graph: each step once, after all that it depends on, beside steps that share something with it.
TEST(Schedule, RandomGraphs) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Maps maps({"x", "y"});
    std::vector<std::string> known = {"x", "y"};
    const size_t count = 2 + random() % 14;
    for (size_t i = 0; i < count; ++i) {
      std::vector<std::string> operands;
      for (size_t o = 0; o < 1 + random() % 3; ++o) {
        const size_t back = 1 + random() % std::min<size_t>(known.size(), 5);
        operands.push_back(known[known.size() - back]);
      }
      std::string name = "v";
      name += std::to_string(i);
      maps.map(name, operands);
      known.push_back(name);
    }
    maps.groups({known.back()});
    const GraphRecord& graph = maps.b.graph;
    const Schedule schedule = scheduled(graph, maps.pos);
    EXPECT_EQ(names(graph, schedule), names(graph, scheduled(graph, maps.pos)));  // the same again
    std::vector<int> seen(graph.steps.size());
    const std::vector<std::vector<size_t>> dependencies = step_dependencies(graph);
    size_t leader = 0;
    for (size_t g = 0; g < schedule.groups.size(); ++g) {
      const std::vector<size_t>& steps = schedule.groups[g].steps;
      ASSERT_FALSE(steps.empty());
      EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end()));
      EXPECT_GE(steps.front(), leader);
      leader = steps.front();
      for (const size_t step : steps) {
        ++seen[step];
        EXPECT_EQ(schedule.group_of[step], g);
        for (const size_t before : dependencies[step]) EXPECT_LT(schedule.group_of[before], g);
        for_each_operand(graph.steps[step], [&](const Operand& operand) {
          for (size_t other = 0; other < graph.steps.size(); ++other) {
            if (graph.steps[other].outputs[0] != operand.value) continue;
            EXPECT_LT(schedule.group_of[other], g);  // by the records, not by the pass's own list
          }
        });
      }
      EXPECT_TRUE(steps.size() == 1 || !schedule.groups[g].shared.empty());
    }
    EXPECT_EQ(seen, std::vector<int>(graph.steps.size(), 1));
  }
}

}  // namespace
}  // namespace weft

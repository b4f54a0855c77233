// The typed surface: what expressions record, and that they own what they read.
#include <gtest/gtest.h>

#include "core/record/verify.h"
#include "models/axes.h"
#include "ops/ops.h"
#include "tests/errors.h"

namespace weft {
namespace {

struct Expert : axis<"expert"> {};
struct Choice : axis<"choice", 2> {};
struct Part : axis<"part", 4> {};
struct Heads : axis<"heads"> {};

template <class A, class B>
constexpr bool has_axes(const B&) {
  return std::is_same_v<typename B::axes, A>;
}

Weight<Vocab, Embed> weight(int64_t rows, int64_t columns) {
  return Weight(Tensor<f32, Vocab, Embed>({rows, columns}));
}

const Step& last_step(const Graph& graph) { return graph.record()->steps.back(); }

TEST(Expr, ElementwiseTakesTheOrderOfTheLargerSide) {
  Graph g;
  const auto x = g.input<f32, Pos, Embed>("x");
  const auto swapped = g.input<f32, Embed, Pos>("swapped");
  const auto row = g.input<f32, Embed>("row");
  EXPECT_TRUE((has_axes<Axes<Pos, Embed>>(x + row)));
  EXPECT_TRUE((has_axes<Axes<Pos, Embed>>(row + x)));
  EXPECT_TRUE((has_axes<Axes<Pos, Embed>>(x + swapped)));
  EXPECT_TRUE((has_axes<Axes<Embed, Pos>>(swapped + x)));
  materialize(row * x + 1.0f);
  EXPECT_EQ(last_step(g).kind, StepKind::map);
  verify(*g.record());
}

TEST(Expr, CoordinatesBroadcastFreelyAndNeverLead) {
  Graph g;
  const auto pos = g.positions<Pos>("pos");
  const auto ids = g.input<i32, Pos>("ids");
  EXPECT_TRUE((has_axes<Axes<Pos, Key>>(ids >= index<Key>())));
  EXPECT_TRUE((has_axes<Axes<Pos, Key>>(index<Key>() <= ids)));
  EXPECT_TRUE((has_axes<Axes<Key, Pos>>(index<Key>() <= pos)));
  const auto x = g.input<f32, Pos, KvHead, Key>("x");
  EXPECT_TRUE((has_axes<Axes<Pos, KvHead, Key>>(where(index<Key>() <= pos, x, -inf))));
  materialize(where(index<Key>() <= pos, x, -inf));
  verify(*g.record());
}

TEST(Expr, ContractHasTheLeftSidesAxesThenTheRights) {
  Graph g;
  const auto x = g.input<f32, Pos, KvHead, Group, HeadDim>("x");
  const auto y = g.input<f32, Key, KvHead, HeadDim>("y");
  EXPECT_TRUE((has_axes<Axes<Pos, KvHead, Group, Key>>(contract<HeadDim>(x, y))));
  const auto w = g.input<f32, Embed, KvHead, Group, HeadDim>("w");
  EXPECT_TRUE((has_axes<Axes<Pos, Embed>>(contract<Group, HeadDim, KvHead>(x, w))));
  materialize(contract<Group, HeadDim, KvHead>(x, w));
  // In the right side's order, however the call names them.
  EXPECT_EQ(last_step(g).regions[0].contractions[0].over,
            (std::vector<AxisId>{g.axis<KvHead>(), g.axis<Group>(), g.axis<HeadDim>()}));
  verify(*g.record());
}

TEST(Expr, AtPutsTheAxesOfTheIdsWhereTheSelectedAxisStood) {
  Graph g;
  const auto ids = g.input<i32, Pos, Choice>("ids");
  const auto w = g.input<f32, Expert, Hidden, Embed>("w");
  EXPECT_TRUE((has_axes<Axes<Pos, Choice, Hidden, Embed>>(at<Expert>(w, ids))));
  const auto p = g.input<f32, Pos, Expert>("p");
  EXPECT_TRUE((has_axes<Axes<Pos, Choice>>(at<Expert>(p, ids))));
  const auto h = g.input<f32, Pos, Embed>("h");
  EXPECT_TRUE((has_axes<Axes<Pos, Choice, Hidden>>(contract<Embed>(h, at<Expert>(w, ids)))));
  const auto up = materialize(contract<Embed>(h, at<Expert>(w, ids)));
  const auto down = g.input<f32, Expert, Embed, Hidden>("down");
  const auto weights = materialize(at<Expert>(p, ids));
  const auto y = materialize(contract<Choice, Hidden>(weights * up, at<Expert>(down, ids)));
  EXPECT_TRUE((has_axes<Axes<Pos, Embed>>(y)));
  verify(*g.record());
}

TEST(Expr, ViewsRelabelWithoutAStep) {
  Graph g;
  const auto x = g.input<f32, Pos, Embed>("x");
  const auto heads = split<Embed, KvHead, HeadDim>(x);
  EXPECT_TRUE((has_axes<Axes<Pos, KvHead, HeadDim>>(heads)));
  EXPECT_TRUE((has_axes<Axes<Pos, Heads>>(merge<KvHead, HeadDim, Heads>(heads))));
  EXPECT_TRUE((has_axes<Axes<Pos, Part>>(slice<Embed, Part>(x, 8))));
  EXPECT_TRUE((has_axes<Axes<Key, Embed>>(rename<Pos, Key>(x))));
  EXPECT_TRUE(g.record()->steps.empty());
  materialize(slice<Embed, Part>(x, 8) + 1.0f);
  const Operand& operand = last_step(g).regions[0].operands[0];
  EXPECT_EQ(operand.view[1].begin, 8);
  EXPECT_EQ(operand.view[1].stored, g.axis<Embed>());
  EXPECT_EQ(g.record()->rules[0].count, 4);
  verify(*g.record());
}

TEST(Expr, ViewsThatWouldNeedACopySayWhichMaterializeIsMissing) {
  Graph g;
  const auto x = g.input<f32, Pos, Embed>("x");
  EXPECT_CONTAINS(test::error_of([&] { split<Part, KvHead, HeadDim>(slice<Embed, Part>(x, 0)); }),
                  "axis 'part' is a slice of 'embed'; put materialize around the slice");
  EXPECT_CONTAINS(test::error_of([&] { slice<Embed, Part>(x, -1); }), "axis 'embed'");
}

TEST(Expr, MaterializeTakesAnotherOrderAndAName) {
  Graph g;
  const auto x = g.input<f32, Pos, KvHead, HeadDim>("x");
  const auto y = materialize<KvHead, Pos, HeadDim>(x * 2, "swapped");
  EXPECT_TRUE((has_axes<Axes<KvHead, Pos, HeadDim>>(y)));
  EXPECT_EQ(g.record()->values[y.id()].name, "swapped");
  verify(*g.record());
}

TEST(Expr, MapCallsTheFunctionOnceWithSymbols) {
  Graph g;
  const auto x = g.input<f32, Pos, Embed>("x");
  const auto w = g.input<f32, Embed>("w");
  int calls = 0;
  const auto y = materialize(map(
      [&calls](auto a, auto b) {
        ++calls;
        return where(a > b, exp(a), b * b);
      },
      x, w));
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE((has_axes<Axes<Pos, Embed>>(y)));
  verify(*g.record());
}

TEST(Expr, EqualLeavesAndSubexpressionsAreRecordedOnce) {
  Graph g;
  const auto x = g.input<f32, Pos, Embed>("x");
  const auto e = exp(x);
  materialize(e * e + exp(x));
  const Region& region = last_step(g).regions[0];
  EXPECT_EQ(region.operands.size(), 1u);
  EXPECT_EQ(region.body.program.code.size(), 4u) << to_string(region.body.program);  // load, exp, mul, add
  verify(*g.record());
}

TEST(Expr, TiedWeightsAreOneValue) {
  Graph g;
  const auto tokens = g.input<i32, Pos>("tokens");
  const auto w = weight(5, 3);
  const auto x = materialize(at<Vocab>(w, tokens));
  materialize(contract<Embed>(x, w));
  const auto& values = g.record()->values;
  EXPECT_EQ(std::count_if(values.begin(), values.end(), [](const ValueRecord& v) { return v.storage != nullptr; }), 1);
}

TEST(Expr, NormsAreChainsOfReductionsAlongOneAxis) {
  Graph g;
  const auto x = g.input<f32, Pos, Embed>("x");
  materialize(layer_norm<Embed>(x, 1e-5f));
  EXPECT_EQ(last_step(g).kind, StepKind::reduce);
  EXPECT_EQ(last_step(g).regions[0].body.reductions.size(), 2u);
  materialize(softmax<Embed>(x - mean<Embed>(x)));
  EXPECT_EQ(last_step(g).regions[0].body.reductions.size(), 3u);
  verify(*g.record());
}

TEST(Expr, TopKAndArgmaxAreOneStep) {
  Graph g;
  const auto x = g.input<f32, Pos, Embed>("x");
  const auto w = g.input<f32, Expert, Embed>("w");
  const auto [p, ids] = materialize(top_k<Expert, Choice>(contract<Embed>(x, w)));
  EXPECT_TRUE((has_axes<Axes<Pos, Choice>>(p)));
  EXPECT_EQ(g.record()->steps.size(), 1u);
  EXPECT_EQ(g.record()->values[ids.id()].format, Format::i32);
  const auto best = materialize(argmax<Expert>(contract<Embed>(x, w)));
  EXPECT_TRUE((has_axes<Axes<Pos>>(best)));
  verify(*g.record());
}

TEST(Expr, AttentionIsOneStepWhateverTheScore) {
  Graph g;
  const Batch batch(g);
  Cache<Field<Key, KvHead, HeadDim>, Field<Key, KvHead, Part>> cache(g, batch, "kv");
  const auto q = g.input<f32, Pos, KvHead, Group, HeadDim>("q");
  const auto k = g.input<f32, Pos, KvHead, HeadDim>("k");
  const auto v = g.input<f32, Pos, KvHead, Part>("v");
  const auto slope = g.input<f32, KvHead, Group>("slope");
  auto [K, V] = materialize(append(cache, k, v));
  const auto distance = cast<f32>(K.pos() - batch.pos);
  auto score = contract<HeadDim>(q, K) * 0.125f + slope * distance;
  score = 30.0f * tanh(score / 30.0f);
  const auto seen = K.pos() <= batch.pos && batch.pos - K.pos() < 16;
  const auto a = materialize(contract<Key>(softmax<Key>(where(seen, score, -inf)), V));
  EXPECT_TRUE((has_axes<Axes<Pos, KvHead, Group, Part>>(a)));
  EXPECT_EQ(last_step(g).kind, StepKind::attention);
  EXPECT_EQ(g.record()->steps.size(), 2u);
  verify(*g.record());
}

TEST(Expr, StatisticsAreResultsOfTheAttention) {
  Graph g;
  const auto q = g.input<f32, Pos, KvHead, Group, HeadDim>("q");
  const auto k = g.input<f32, Key, KvHead, HeadDim>("k");
  const auto v = g.input<f32, Key, KvHead, Part>("v");
  const auto attention = contract<Key>(softmax<Key>(contract<HeadDim>(q, k)), v);
  const auto [a, log_sum_exp, largest, entropy] = materialize(with_statistics(attention), "a");
  EXPECT_TRUE((has_axes<Axes<Pos, KvHead, Group, Part>>(a)));
  EXPECT_TRUE((has_axes<Axes<Pos, KvHead, Group>>(log_sum_exp)));
  EXPECT_TRUE((has_axes<Axes<Pos, KvHead, Group>>(largest)));
  EXPECT_TRUE((has_axes<Axes<Pos, KvHead, Group>>(entropy)));
  EXPECT_EQ(g.record()->steps.size(), 1u);
  EXPECT_EQ(last_step(g).outputs, (std::vector{a.id(), log_sum_exp.id(), largest.id(), entropy.id()}));
  EXPECT_EQ(g.record()->values[entropy.id()].name, "a.entropy");
  materialize(attention);  // asks for no statistics
  EXPECT_EQ(last_step(g).outputs.size(), 1u);
  verify(*g.record());
}

// Expressions outlive everything they were made of.
auto returned_expression() {
  Graph graph;
  const auto x = graph.input<f32, Pos, Embed>("x");
  const Tensor<f32, Embed> scale({3}, {1, 2, 3});
  const auto weighted = x * scale;
  return cast<f32>(index<Embed>()) + exp(weighted);
}

TEST(Expr, MayBeReturnedStoredAndReused) {
  const auto e = returned_expression();
  const auto stored = e;
  const auto a = materialize(e * 2.0f);
  const auto b = materialize(stored + e);
  EXPECT_EQ(a.recorder(), b.recorder());
  verify(*a.recorder()->record());
  EXPECT_EQ(a.recorder()->record()->steps.size(), 2u);
}

TEST(Expr, ValuesOfTwoGraphsDoNotMeet) {
  Graph g, other;
  const auto x = g.input<f32, Pos>("x");
  const auto y = other.input<f32, Pos>("y");
  EXPECT_CONTAINS(test::error_of([&] { materialize(x + y); }), "'y' belongs to another graph");
  const Tensor<f32, Pos> t({2});
  EXPECT_CONTAINS(test::error_of([&] { materialize(t + t); }), "eval");
}

TEST(Tensor, ExtentsAreChecked) {
  EXPECT_CONTAINS(test::error_of([] { Tensor<f32, Part>({5}); }), "axis 'part'");
  EXPECT_CONTAINS(test::error_of([] { Tensor<f32, Pos>({-1}); }), "negative");
  EXPECT_CONTAINS(test::error_of([] { Tensor<f32, Pos, Embed>({int64_t{1} << 40, int64_t{1} << 40}); }), "too large");
  EXPECT_CONTAINS(test::error_of([] { Tensor<f32, Pos>({3}, {1, 2}); }), "3 elements, but 2");
}

}  // namespace
}  // namespace weft

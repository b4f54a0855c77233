// The reference against results worked out by hand or by independent formulas: it is what all kernels are held to.
#include "ops/harness/reference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "core/error.h"

namespace weft {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
const float kNaN = std::numeric_limits<float>::quiet_NaN();

template <class T>
std::vector<T> elements(const std::vector<std::byte>& bytes) {
  std::vector<T> result(bytes.size() / sizeof(T));
  if (!result.empty()) std::memcpy(result.data(), bytes.data(), bytes.size());
  return result;
}

std::vector<float> run(const StepCase& step_case) { return elements<float>(run_reference(step_case)[0]); }

void expect_near(const std::vector<float>& got, const std::vector<double>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(got[i]), want[i], 1e-6) << "element " << i;
  }
}

TEST(Reference, MapBroadcastsByAxis) {
  CaseBuilder c(StepKind::map);
  const AxisId a = c.axis("a", 2), b = c.axis("b", 3);
  const ValueId x = c.input("x", {a, b}), y = c.input("y", {a});
  c.set(x, std::vector<float>{1, 2, 3, 4, 5, 6});
  c.set(y, std::vector<float>{10, 20});
  ScalarBuilder s;
  const Scalar sum = s.load(c.operand(x)) + s.load(c.operand(y));
  c.body({b, a}, s.finish(sum + cast(s.index(b), Element::f32) * 100.0f));  // another order of axes
  expect_near(run(c.build()), {11, 24, 112, 125, 213, 226});
}

TEST(Reference, ViewsSliceSplitMergeAndRename) {
  CaseBuilder c(StepKind::map);
  const AxisId a = c.axis("a", 2), b = c.axis("b", 6), outer = c.axis("outer", 3), inner = c.axis("inner", 2);
  const AxisId part = c.axis("part", 2);
  const ValueId x = c.input("x", {a, b});
  c.set(x, std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  ScalarBuilder s;
  // b is split into outer and inner, outer is sliced from 1, a is renamed to inner: x[inner, (1 + part) * 2 +
  // inner].
  const Scalar split = s.load(c.operand(x, {whole(a), sliced(part, outer, 1), whole(inner)}));
  c.body({a, part, inner}, s.finish(split));
  expect_near(run(c.build()), {2, 3, 4, 5, 8, 9, 10, 11});
}

TEST(Reference, GatherReadsZeroOutsideTheTable) {
  CaseBuilder c(StepKind::map);
  const AxisId row = c.axis("row", 4), vocab = c.axis("vocab", 3), embed = c.axis("embed", 32);
  const ValueId table = c.weight("table", {vocab, embed}, Format::q8_0);
  const ValueId ids = c.ids("ids", {row}, 0, 1);
  c.set(ids, std::vector<int32_t>{2, -1, 3, 0});
  std::vector<float> rows(96, 0.0f);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i / 32) + 1.0f;
  c.set(table, rows);
  const int i = c.operand(ids);
  ScalarBuilder s;
  c.body({row, embed}, s.finish(s.load(c.operand(table, {gathered(vocab, i), whole(embed)}))));
  const std::vector<float> got = run(c.build());
  const float want[] = {3, 0, 0, 1};
  for (size_t r = 0; r < 4; ++r) EXPECT_NEAR(got[r * 32 + 5], want[r], 2e-3f) << "row " << r;
}

TEST(Reference, SoftmaxIsMadeOfTwoReductions) {
  CaseBuilder c(StepKind::reduce);
  const AxisId a = c.axis("a", 1), b = c.axis("b", 3);
  const ValueId x = c.input("x", {a, b});
  c.set(x, std::vector<float>{1, 2, -kInf});
  ScalarBuilder s;
  const Scalar value = s.load(c.operand(x));
  const Scalar powered = exp(value - s.reduction(0));
  c.body({a, b}, s.finish(powered / s.reduction(1)), b,
         {{ReduceOp::max, s.finish(value)}, {ReduceOp::sum, s.finish(powered)}});
  const double e = std::exp(1.0);
  expect_near(run(c.build()), {1 / (1 + e), e / (1 + e), 0});
}

TEST(Reference, ReductionsOfEmptyAndNonFiniteRows) {
  const auto reduced = [](ReduceOp op, std::vector<float> row) {
    CaseBuilder c(StepKind::reduce);
    const AxisId b = c.axis("b", static_cast<int64_t>(row.size()));
    const ValueId x = c.input("x", {b});
    c.set(x, std::move(row));
    ScalarBuilder s;
    const Element element = op == ReduceOp::argmax ? Element::i32 : Element::f32;
    const Scalar result = s.reduction(0, element);
    c.body({}, s.finish(element == Element::i32 ? cast(result, Element::f32) : result), b,
           {{op, s.finish(s.load(c.operand(x)))}});
    return run(c.build())[0];
  };
  EXPECT_EQ(reduced(ReduceOp::sum, {}), 0);
  EXPECT_TRUE(std::isnan(reduced(ReduceOp::mean, {})));
  EXPECT_EQ(reduced(ReduceOp::max, {}), -kInf);
  EXPECT_EQ(reduced(ReduceOp::argmax, {}), 0);
  EXPECT_EQ(reduced(ReduceOp::max, {kNaN, -2, -3}), -2);
  EXPECT_EQ(reduced(ReduceOp::max, {kNaN}), -kInf);
  EXPECT_EQ(reduced(ReduceOp::argmax, {kNaN, 1, 5, 5}), 2);
  EXPECT_EQ(reduced(ReduceOp::argmax, {kNaN, kNaN}), 0);
  EXPECT_EQ(reduced(ReduceOp::mean, {1, 2, 6}), 3);
}

TEST(Reference, ContractWithBatchAxisAndEpilogue) {
  CaseBuilder c(StepKind::contract);
  const AxisId batch = c.axis("batch", 2), k = c.axis("k", 2), m = c.axis("m", 1), n = c.axis("n", 2);
  const ValueId x = c.input("x", {batch, m, k}), w = c.input("w", {batch, n, k});
  c.set(x, std::vector<float>{1, 2, 3, 4});
  c.set(w, std::vector<float>{1, 0, 0, 1, 2, 0, 1, 1});
  const int lhs = c.lhs(c.operand(x));
  c.contraction(lhs, c.operand(w), {k});
  ScalarBuilder s;
  c.body({batch, m, n}, s.finish(s.contraction() * 10.0f));
  expect_near(run(c.build()), {10, 20, 60, 70});
}

TEST(Reference, ContractOverTheAxesOfIds) {
  // out[p] = sum over choice, h of gate[p, choice] * g[p, choice, h] * w[ids[p, choice], h].
  CaseBuilder c(StepKind::contract);
  const AxisId p = c.axis("p", 2), choice = c.axis("choice", 2), h = c.axis("h", 1), expert = c.axis("expert", 3);
  const ValueId gate = c.input("gate", {p, choice}), g = c.input("g", {p, choice, h});
  const ValueId ids = c.ids("ids", {p, choice}, 0, 3), w = c.weight("w", {expert, h});
  c.set(gate, std::vector<float>{1, 2, 3, 4});
  c.set(g, std::vector<float>{1, 1, 2, 2});
  c.set(ids, std::vector<int32_t>{0, 2, 1, 1});
  c.set(w, std::vector<float>{10, 100, 1000});
  ScalarBuilder s;
  const int lhs = c.lhs({p, choice, h}, s.finish(s.load(c.operand(gate)) * s.load(c.operand(g))));
  const int i = c.operand(ids);
  c.contraction(lhs, c.operand(w, {gathered(expert, i), whole(h)}), {choice, h});
  ScalarBuilder body;
  c.body({p}, body.finish(body.contraction()));
  expect_near(run(c.build()), {2010, 1400});
}

StepCase rope_case(RopePairs pairs, std::vector<float> row, std::vector<float> frequencies) {
  CaseBuilder c(StepKind::reduce);
  const AxisId pos = c.axis("pos", 1), dim = c.axis("dim", static_cast<int64_t>(row.size()));
  const ValueId x = c.input("x", {pos, dim}), where_to = c.ids("positions", {pos}, 0, 1);
  c.set(x, std::move(row));
  c.set(where_to, std::vector<int32_t>{3});
  ScalarBuilder s;
  c.body({pos, dim}, s.finish(s.load(c.operand(x))));
  Rotation rotation;
  rotation.axis = dim;
  rotation.pairs = pairs;
  rotation.position = c.operand(where_to);
  rotation.base = 100.0f;
  rotation.scale = 2.0f;
  if (!frequencies.empty()) rotation.frequencies = std::make_shared<const std::vector<float>>(std::move(frequencies));
  c.rotation(rotation);
  return c.build();
}

TEST(Reference, RotationTurnsPairs) {
  // d = 4, base 100: frequencies 1 and 0.1; position 3.
  const double c0 = std::cos(3.0), s0 = std::sin(3.0);
  const double c1 = std::cos(double{3.0f * 0.1f}), s1 = std::sin(double{3.0f * 0.1f});
  expect_near(run(rope_case(RopePairs::half_split, {1, 2, 3, 4}, {})),
              {2 * (c0 - 3 * s0), 2 * (2 * c1 - 4 * s1), 2 * (s0 + 3 * c0), 2 * (2 * s1 + 4 * c1)});
  expect_near(run(rope_case(RopePairs::interleaved, {1, 2, 3, 4}, {})),
              {2 * (c0 - 2 * s0), 2 * (s0 + 2 * c0), 2 * (3 * c1 - 4 * s1), 2 * (3 * s1 + 4 * c1)});
  // One frequency: the first two elements only, the rest passes without the scale.
  expect_near(run(rope_case(RopePairs::half_split, {1, 2, 3, 4}, {0.1f})),
              {2 * (c1 - 2 * s1), 2 * (s1 + 2 * c1), 3, 4});
}

TEST(Reference, SelectionTakesTiesFromTheFrontAndNaNLast) {
  CaseBuilder c(StepKind::reduce);
  const AxisId row = c.axis("row", 2), n = c.axis("n", 4), choice = c.axis("choice", 3);
  const ValueId x = c.input("x", {row, n});
  c.set(x, std::vector<float>{1, 5, kNaN, 5, -kInf, kNaN, 7, -1});
  ScalarBuilder s;
  c.body({row, n}, s.finish(s.load(c.operand(x))));
  c.selection(n, choice);
  const Outputs got = run_reference(c.build());
  EXPECT_EQ(elements<float>(got[0]), (std::vector<float>{5, 5, 1, 7, -1, -kInf}));
  EXPECT_EQ(elements<int32_t>(got[1]), (std::vector<int32_t>{1, 3, 0, 2, 3, 0}));
}

TEST(Reference, AttentionOverPagesMatchesAttentionOverDenseValues) {
  // Three sequences with pages in shuffled order against one dense attention per sequence, by the same score.
  const auto causal_score = [](CaseBuilder& c, int q, int k, int row_position, int key_position, AxisId dim,
                               std::vector<AxisId> axes) {
    const int lhs = c.lhs(q);
    c.contraction(lhs, k, {dim});
    ScalarBuilder s;
    const Scalar seen = s.load(key_position, Element::i32) <= s.load(row_position, Element::i32);
    c.body(std::move(axes), s.finish(where(seen, s.contraction() * 0.5f, s.constant(-kInf))));
  };
  CaseBuilder c(StepKind::attention, "paged");
  const AxisId pos = c.axis("pos", 6), key = c.key_axis(), head = c.axis("head", 2), dim = c.axis("dim", 3);
  const AxisId wide = c.axis("wide", 2);
  const CaseCache cache = c.cache({.key = key,
                                   .pos = pos,
                                   .page_size = 2,
                                   .sequences = {{5, 2}, {1, 1}, {4, 3, 1}},
                                   .fields = {{head, dim}, {head, wide}},
                                   .shuffled_rows = true,
                                   .first_position = 10});
  const int q = c.operand(c.input("q", {pos, head, dim})), k = c.operand(cache.fields[0]);
  const int v = c.operand(cache.fields[1]);
  const int row_position = c.operand(cache.pos_values), key_position = c.operand(cache.positions);
  causal_score(c, q, k, row_position, key_position, dim, {pos, head, key});
  c.attention(key, v);
  const StepCase paged = c.build();
  const std::vector<float> got = run(paged);
  ASSERT_EQ(got.size(), 6u * 2 * 2);

  const auto* seq = static_cast<const int32_t*>(paged.data[cache.seq]);
  const auto* positions = static_cast<const int32_t*>(paged.data[cache.pos_values]);
  const auto* q_data = static_cast<const float*>(paged.data[0 + paged.step().regions[0].operands[0].value]);
  for (size_t row = 0; row < 6; ++row) {
    const PageTable& table = paged.pages[0];
    const int32_t length = table.length[seq[row]];
    CaseBuilder d(StepKind::attention, "dense");
    const AxisId dpos = d.axis("pos", 1), dkey = d.axis("key", length), dhead = d.axis("head", 2);
    const AxisId ddim = d.axis("dim", 3), dwide = d.axis("wide", 2);
    std::vector<float> keys, values;
    std::vector<int32_t> key_positions;
    for (int32_t j = 0; j < length; ++j) {
      const int32_t slot = table.pages[seq[row] * table.max_pages + j / 2] * 2 + j % 2;
      const auto* key_row = static_cast<const float*>(paged.data[cache.fields[0]]) + slot * 6;
      const auto* value_row = static_cast<const float*>(paged.data[cache.fields[1]]) + slot * 4;
      keys.insert(keys.end(), key_row, key_row + 6);
      values.insert(values.end(), value_row, value_row + 4);
      key_positions.push_back(10 + j);
    }
    const ValueId dq = d.input("q", {dpos, dhead, ddim}), dk = d.input("k", {dkey, dhead, ddim});
    const ValueId dv = d.input("v", {dkey, dhead, dwide}), dp = d.ids("row", {dpos}, 0, 1);
    const ValueId dkp = d.ids("key", {dkey}, 0, 1);
    d.set(dq, std::vector<float>(q_data + row * 6, q_data + row * 6 + 6));
    d.set(dk, keys);
    d.set(dv, values);
    d.set(dp, std::vector<int32_t>{positions[row]});
    d.set(dkp, key_positions);
    const int dq_operand = d.operand(dq), dk_operand = d.operand(dk), dv_operand = d.operand(dv);
    const int dp_operand = d.operand(dp), dkp_operand = d.operand(dkp);
    causal_score(d, dq_operand, dk_operand, dp_operand, dkp_operand, ddim, {dpos, dhead, dkey});
    d.attention(dkey, dv_operand);
    const std::vector<float> want = run(d.build());
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(got[row * 4 + i], want[i]) << "row " << row << ", element " << i;
  }
}

TEST(Reference, AttentionRowThatSeesNothingIsZero) {
  CaseBuilder c(StepKind::attention);
  const AxisId pos = c.axis("pos", 2), key = c.axis("key", 2), dim = c.axis("dim", 1);
  const ValueId q = c.input("q", {pos, dim}), k = c.input("k", {key, dim}), v = c.input("v", {key, dim});
  c.set(v, std::vector<float>{3, 5});
  const int lhs = c.lhs(c.operand(q));
  c.contraction(lhs, c.operand(k), {dim});
  ScalarBuilder s;
  c.body({pos, key}, s.finish(where(s.index(key) < s.index(pos), s.contraction(), s.constant(-kInf))));
  c.attention(key, c.operand(v));
  expect_near(run(c.build()), {0, 3});
}

// Row 0 sees nothing, row 1 sees a score of 2, row 2 scores of 2 and 2 + log 3.
TEST(Reference, StatisticsOfKnownScores) {
  CaseBuilder c(StepKind::attention);
  const AxisId pos = c.axis("pos", 3), key = c.axis("key", 2), dim = c.axis("dim", 1);
  const ValueId q = c.input("q", {pos, dim}), k = c.input("k", {key, dim}), v = c.input("v", {key, dim});
  const float log3 = std::log(3.0f), log4 = std::log(4.0f);
  c.set(q, std::vector<float>{1, 1, 1});
  c.set(k, std::vector<float>{2, 2 + log3});
  const int lhs = c.lhs(c.operand(q));
  c.contraction(lhs, c.operand(k), {dim});
  ScalarBuilder s;
  c.body({pos, key}, s.finish(where(s.index(key) < s.index(pos), s.contraction(), s.constant(-kInf))));
  c.attention(key, c.operand(v), true);
  const StepCase step_case = c.build();
  const Outputs outputs = run_reference(step_case);
  std::vector<float> values;
  for (size_t output = 1; output < 4; ++output) {
    float rows[3];
    std::memcpy(rows, outputs[output].data(), sizeof rows);
    EXPECT_EQ(rows[0], output == 3 ? 0.0f : -kInf);
    values.insert(values.end(), rows + 1, rows + 3);
  }
  expect_near(values, {2, 2 + log4, 2, 2 + log3, 0, log4 - 0.75f * log3});
}

// The same scores with a sink of 2 + log 4 in each row, which is half of the last row's softmax.
TEST(Reference, SinkOfKnownScores) {
  CaseBuilder c(StepKind::attention);
  const AxisId pos = c.axis("pos", 3), key = c.axis("key", 2), dim = c.axis("dim", 1);
  const ValueId q = c.input("q", {pos, dim}), k = c.input("k", {key, dim}), v = c.input("v", {key, dim}),
                sink = c.input("sink", {});
  const float log3 = std::log(3.0f), log4 = std::log(4.0f), log5 = std::log(5.0f), log8 = std::log(8.0f);
  c.set(q, std::vector<float>{1, 1, 1});
  c.set(k, std::vector<float>{2, 2 + log3});
  c.set(v, std::vector<float>{8, 16});
  c.set(sink, std::vector<float>{2 + log4});
  const int lhs = c.lhs(c.operand(q));
  c.contraction(lhs, c.operand(k), {dim});
  ScalarBuilder s, of_sink;
  c.body({pos, key}, s.finish(where(s.index(key) < s.index(pos), s.contraction(), s.constant(-kInf))));
  c.region().axes = {pos, dim};
  c.attention(key, c.operand(v), true, of_sink.finish(of_sink.load(c.operand(sink))));
  const Outputs outputs = run_reference(c.build());
  std::vector<float> values;
  for (const std::vector<std::byte>& output : outputs) {
    for (const float x : elements<float>(output)) values.push_back(x);
  }
  expect_near({values.begin(), values.begin() + 3}, {0, 8.0f / 5, 1 + 6});
  EXPECT_EQ(values[3], -kInf);
  EXPECT_EQ(values[6], -kInf);
  EXPECT_EQ(values[9], 0.0f);
  expect_near({values[4], values[5], values[7], values[8], values[10], values[11]},
              {2 + log5, 2 + log8, 2 + log4, 2 + log4, log5 - 0.8f * log4, log8 - 0.375f * log3 - 0.5f * log4});
}

TEST(Reference, AppendWritesRowsAndPositions) {
  CaseBuilder c(StepKind::append);
  const AxisId pos = c.axis("pos", 3), key = c.key_axis(), dim = c.axis("dim", 2);
  const CaseCache cache = c.cache({.key = key,
                                   .pos = pos,
                                   .page_size = 2,
                                   .sequences = {{4, 2}, {1, 1}},
                                   .fields = {{dim}, {dim}},
                                   .skip_every = 2});
  c.append_to(cache);
  const ValueId x = c.input("x", {pos, dim});
  c.set(x, std::vector<float>{1, 2, 3, 4, 5, 6});
  ScalarBuilder s;
  c.body({pos, dim}, s.finish(s.load(c.operand(x))));
  c.next_region();
  ScalarBuilder t;
  c.body({pos, dim}, t.finish(t.load(c.operand(x)) * 10.0f));
  const StepCase built = c.build();
  const std::vector<float> before = elements<float>(built.initial[cache.fields[1]]);
  const Outputs got = run_reference(built);
  const auto* slots = static_cast<const int32_t*>(built.data[cache.slots]);
  ASSERT_EQ(slots[0], -1);
  ASSERT_EQ(slots[2], -1);
  const auto field0 = elements<float>(got[0]), field1 = elements<float>(got[1]);
  const auto positions = elements<int32_t>(got[2]);
  const auto slot = static_cast<size_t>(slots[1]);
  EXPECT_EQ(field0[slot * 2], 3);
  EXPECT_EQ(field1[slot * 2 + 1], 40);
  EXPECT_EQ(positions[slot], 3);
  for (size_t i = 0; i < before.size(); ++i) {  // nothing else was touched
    if (i / 2 != slot) {
      EXPECT_TRUE(field1[i] == before[i] || (std::isnan(field1[i]) && std::isnan(before[i])));
    }
  }
}

TEST(Compare, NamesTheLargestDifference) {
  CaseBuilder c(StepKind::map, "doubled");
  const AxisId a = c.axis("a", 2), b = c.axis("b", 3);
  ScalarBuilder s;
  c.body({a, b}, s.finish(s.load(c.operand(c.input("x", {a, b}))) * 2.0f));
  const StepCase built = c.build();
  const Outputs want = run_reference(built);
  Outputs got = want;
  EXPECT_EQ(compare(built, got, want, {}), "");
  const auto change = [&got](size_t index, float value) {
    std::memcpy(got[0].data() + index * sizeof value, &value, sizeof value);
  };
  change(1, 7);
  change(4, 700);
  const std::string text = compare(built, got, want, {});
  EXPECT_NE(text.find("case 'doubled': 2 elements differ, the largest at 'out'[a 1, b 1]: 700, expected"),
            std::string::npos)
      << text;
  got = want;
  change(2, kNaN);
  EXPECT_NE(compare(built, got, want, {}).find("[a 0, b 2]: nan"), std::string::npos);
  EXPECT_EQ(compare(built, got, got, {}), "");
}

TEST(Compare, IdsMayDifferWhereTheirValuesTie) {
  CaseBuilder c(StepKind::reduce);
  const AxisId n = c.axis("n", 4);
  const ValueId x = c.input("x", {n});
  c.set(x, std::vector<float>{1, 5, 5.0000005f, 2});
  ScalarBuilder s;
  c.body({n}, s.finish(s.load(c.operand(x))));
  c.selection(n, kNoAxis, false);
  const StepCase built = c.build();
  const Outputs want = run_reference(built);
  Outputs got = want;
  const auto choose = [&got](int32_t id) { std::memcpy(got[0].data(), &id, sizeof id); };
  choose(1);
  EXPECT_EQ(compare(built, got, want, {}), "");
  choose(3);
  EXPECT_NE(compare(built, got, want, {}), "");
  choose(9);
  EXPECT_NE(compare(built, got, want, {}), "");
}

}  // namespace
}  // namespace weft

// Whole blocks of scores that a mask rules out: what is claimed holds for every coordinate, and the usual masks
// are recognized.
#include "ops/attention/mask_analysis.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <vector>

#include "ops/harness/scalar_builder.h"

namespace weft {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();
constexpr int kQuery = 0, kKey = 1, kLength = 2;

struct Score {
  ScalarBuilder s;
  Scalar query = s.load(kQuery, Element::i32), key = s.load(kKey, Element::i32);
  Scalar length = s.load(kLength, Element::i32);
  Scalar value = s.contraction() * 0.125f;
  Scalar masked = s.constant(kMasked);
};

std::vector<IntRange> in_order(const MaskAnalysis& analysis, const std::map<int, IntRange>& ranges) {
  std::vector<IntRange> given;
  for (const ScalarInstr& source : analysis.sources()) given.push_back(ranges.at(source.imm));
  return given;
}

bool masked(const ScalarProgram& program, const std::map<int, IntRange>& ranges) {
  const MaskAnalysis analysis(program);
  return analysis.always_masked(in_order(analysis, ranges));
}

bool open(const ScalarProgram& program, const std::map<int, IntRange>& ranges) {
  const MaskAnalysis analysis(program);
  return analysis.never_masked(in_order(analysis, ranges));
}

TEST(MaskAnalysis, UsualMasks) {
  Score t;
  const ScalarProgram causal = t.s.finish(where(t.key <= t.query, t.value, t.masked));
  EXPECT_TRUE(masked(causal, {{kQuery, {0, 9}}, {kKey, {10, 20}}}));
  EXPECT_FALSE(masked(causal, {{kQuery, {0, 10}}, {kKey, {10, 20}}}));
  EXPECT_FALSE(masked(causal, {{kQuery, {30, 40}}, {kKey, {10, 20}}}));

  const ScalarProgram window = t.s.finish(where(t.key <= t.query && t.query - t.key < 16, t.value, t.masked));
  EXPECT_TRUE(masked(window, {{kQuery, {100, 107}}, {kKey, {0, 84}}}));
  EXPECT_FALSE(masked(window, {{kQuery, {100, 107}}, {kKey, {0, 85}}}));
  EXPECT_TRUE(masked(window, {{kQuery, {100, 107}}, {kKey, {108, 120}}}));

  const ScalarProgram prefix = t.s.finish(where(t.key < t.length || t.key <= t.query, t.value, t.masked));
  EXPECT_TRUE(masked(prefix, {{kQuery, {3, 4}}, {kKey, {10, 20}}, {kLength, {5, 10}}}));
  EXPECT_FALSE(masked(prefix, {{kQuery, {3, 4}}, {kKey, {10, 20}}, {kLength, {5, 11}}}));

  // Soft-cap and ALiBi inside; two selects; the condition the other way round; whole documents by division.
  const Scalar capped = tanh(t.value / 30.0f) * 30.0f + cast(t.key - t.query, Element::f32) * 0.5f;
  const ScalarProgram nested =
      t.s.finish(where(t.key > t.query, t.masked, where(t.query - t.key >= 8, t.masked, capped)));
  EXPECT_TRUE(masked(nested, {{kQuery, {20, 27}}, {kKey, {0, 12}}}));
  EXPECT_FALSE(masked(nested, {{kQuery, {20, 27}}, {kKey, {0, 13}}}));
  const ScalarProgram documents = t.s.finish(where(t.key / 64 == t.query / 64, t.value, t.masked));
  EXPECT_TRUE(masked(documents, {{kQuery, {64, 127}}, {kKey, {0, 63}}}));
  EXPECT_FALSE(masked(documents, {{kQuery, {64, 128}}, {kKey, {0, 64}}}));
  const ScalarProgram negated = t.s.finish(where(!(t.key <= t.query), -t.s.constant(-kMasked), t.value));
  EXPECT_TRUE(masked(negated, {{kQuery, {0, 9}}, {kKey, {10, 20}}}));
}

TEST(MaskAnalysis, ClaimsNothingThatNonFiniteScoresWouldBreak) {
  Score t;
  // value + -inf is NaN where value is inf.
  const ScalarProgram added = t.s.finish(t.value + where(t.key <= t.query, t.s.constant(0.0f), t.masked));
  EXPECT_FALSE(masked(added, {{kQuery, {0, 9}}, {kKey, {10, 20}}}));
  EXPECT_FALSE(MaskAnalysis(t.s.finish(t.value)).can_mask());
  // Wrapped arithmetic is not an interval.
  const ScalarProgram wraps = t.s.finish(where(t.key + 1 > t.key, t.value, t.masked));
  EXPECT_FALSE(masked(wraps, {{kKey, {0, std::numeric_limits<int32_t>::max()}}}));
}

TEST(MaskAnalysis, BlocksThatAreSeenWhole) {
  Score t;
  const ScalarProgram causal = t.s.finish(where(t.key <= t.query, t.value, t.masked));
  EXPECT_EQ(causal.code[*MaskAnalysis(causal).unmasked()].op, ScalarOp::mul);  // the scale
  EXPECT_TRUE(open(causal, {{kQuery, {20, 27}}, {kKey, {0, 20}}}));
  EXPECT_FALSE(open(causal, {{kQuery, {20, 27}}, {kKey, {0, 21}}}));
  EXPECT_FALSE(open(causal, {{kQuery, {20, 27}}, {kKey, {28, 30}}}));
  const ScalarProgram window = t.s.finish(where(t.key > t.query || t.query - t.key >= 8, t.masked, t.value));
  EXPECT_TRUE(open(window, {{kQuery, {20, 23}}, {kKey, {16, 20}}}));
  EXPECT_FALSE(open(window, {{kQuery, {20, 23}}, {kKey, {15, 20}}}));
  // Not a choice between -inf and something.
  EXPECT_FALSE(MaskAnalysis(t.s.finish(t.value)).unmasked());
  EXPECT_FALSE(MaskAnalysis(t.s.finish(where(t.key <= t.query, t.value, t.s.constant(-1.0f)))).unmasked());
}

// A random condition over small ranges, against every combination.
TEST(MaskAnalysis, IsNeverWrong) {
  std::mt19937_64 random(5);
  int claims = 0;
  for (int round = 0; round < 3000; ++round) {
    Score t;
    std::vector<Scalar> ints = {t.query, t.key, t.length, t.s.constant(static_cast<int32_t>(random() % 9) - 2)};
    std::vector<Scalar> bools = {t.key <= t.query};
    std::vector<Scalar> floats = {t.value, t.masked, t.s.constant(1.0f)};
    const auto pick = [&](const std::vector<Scalar>& from) { return from[random() % from.size()]; };
    constexpr ScalarOp kInt[] = {ScalarOp::add, ScalarOp::sub, ScalarOp::mul, ScalarOp::div,
                                 ScalarOp::mod, ScalarOp::min, ScalarOp::max};
    constexpr ScalarOp kCompare[] = {ScalarOp::eq, ScalarOp::ne, ScalarOp::lt,
                                     ScalarOp::le, ScalarOp::gt, ScalarOp::ge};
    for (int i = 0; i < 8; ++i) {
      switch (random() % 8) {
        case 0: ints.push_back(apply(kInt[random() % 7], pick(ints), pick(ints))); break;
        case 1: ints.push_back(random() % 2 ? -pick(ints) : abs(pick(ints))); break;
        case 2: ints.push_back(where(pick(bools), pick(ints), pick(ints))); break;
        case 3: bools.push_back(apply(kCompare[random() % 6], pick(ints), pick(ints))); break;
        case 4: bools.push_back(random() % 2 ? pick(bools) && pick(bools) : pick(bools) || pick(bools)); break;
        case 5: bools.push_back(random() % 2 ? !pick(bools) : cast(pick(ints), Element::bool8)); break;
        case 6: ints.push_back(cast(pick(bools), Element::i32)); break;
        default: floats.push_back(where(pick(bools), pick(floats), pick(floats))); break;
      }
    }
    const ScalarProgram program = t.s.finish(where(bools.back(), pick(floats), floats.back()));
    std::map<int, IntRange> ranges;
    for (const int source : {kQuery, kKey, kLength}) {
      const auto low = static_cast<int32_t>(random() % 12) - 4;
      ranges[source] = {low, low + static_cast<int32_t>(random() % 4)};
    }
    const bool never = open(program, ranges);
    if (!masked(program, ranges) && !never) continue;
    ++claims;
    ScalarProgram unmasked = program;
    if (never) unmasked.code.resize(*MaskAnalysis(program).unmasked() + size_t{1});
    for (int32_t q = ranges[kQuery].low; q <= ranges[kQuery].high; ++q) {
      for (int32_t k = ranges[kKey].low; k <= ranges[kKey].high; ++k) {
        for (int32_t n = ranges[kLength].low; n <= ranges[kLength].high; ++n) {
          const auto source = [&](const ScalarInstr& instr) -> ScalarValue {
            if (instr.op == ScalarOp::contraction) return {NAN, 0};
            return {0, instr.imm == kQuery ? q : instr.imm == kKey ? k : n};
          };
          const double score = evaluate(program, source).f;
          if (never) {
            const double want = evaluate(unmasked, source).f;
            ASSERT_TRUE(score == want || (std::isnan(score) && std::isnan(want))) << to_string(program);
          } else {
            ASSERT_TRUE(std::isinf(score) && score < 0) << to_string(program) << q << " " << k << " " << n;
          }
        }
      }
    }
  }
  EXPECT_GT(claims, 100);
}

}  // namespace
}  // namespace weft

// Values against recordings: what counts as a difference, and how recordings in other orders are read.
#include "runtime/trace/trace_comparison.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/command.h"
#include "tests/errors.h"

namespace weft {
namespace {

using Floats = std::vector<float>;
using State = ComparedValue::State;
using Tensor = SafetensorsWriter::Tensor;
constexpr double kTolerance = 1e-3;
constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
const std::vector<int32_t> kTokens = {3, 1};

TracedValue value_of(const std::string& name, std::vector<std::string> axes, std::vector<int64_t> extents) {
  TracedValue value;
  value.name = name, value.axes = std::move(axes), value.extents = std::move(extents);
  const auto pos = std::find(value.axes.begin(), value.axes.end(), "pos");
  value.pos = pos == value.axes.end() ? -1 : static_cast<int>(pos - value.axes.begin());
  return value;
}

class Comparing : public testing::Test {
 protected:
  std::string path() const { return (folder_ / "recording.safetensors").string(); }

  // One tensor of floats.
  Recording recorded(const std::string& name, const std::vector<int64_t>& extents, const Floats& elements,
                     const std::map<std::string, std::string>& metadata = {}) {
    SafetensorsWriter writer(path(), {{name, Format::f32, extents}}, metadata);
    writer.write(0, 0, std::as_bytes(std::span(elements)));
    writer.finish();
    return Recording::open(path());
  }

  static ComparedValue compare(const Recording& recording, const TracedValue& value, const Floats& elements,
                               const TraceMap* map = nullptr) {
    TraceComparison comparison(recording, map, kTolerance);
    comparison.begin({value}, kTokens);
    comparison.take(0, 0, value.pos < 0 ? 1 : value.extents[static_cast<size_t>(value.pos)],
                    std::as_bytes(std::span(elements)));
    return comparison.values().front();
  }

  test::TemporaryFolder folder_;
};

TEST_F(Comparing, SaysWhereAndHowMuch) {
  const Recording recording = recorded("x", {2, 3}, {1, 2, -4, 0, 1, 2});
  const TracedValue value = value_of("x", {"pos", "embed"}, {2, 3});
  EXPECT_FALSE(compare(recording, value, {1, 2, -4, 0, 1, 2}).differs());
  const ComparedValue close = compare(recording, value, {1, 2, -4, 0.003f, 1, 2});  // of 4: below the tolerance
  EXPECT_FALSE(close.differs());
  EXPECT_NEAR(close.largest.relative, 0.00075, 1e-8);
  const ComparedValue far = compare(recording, value, {1, 2, -4, 0, 1.5f, 4});
  EXPECT_TRUE(far.differs());
  EXPECT_EQ(far.beyond, 2);
  EXPECT_EQ(far.scale, 4);
  EXPECT_EQ(far.first.at, 4);
  EXPECT_EQ(coordinates_text(value, far.first.at), "pos 1, embed 1");
  EXPECT_EQ(far.first.here, 1.5);
  EXPECT_EQ(far.first.recorded, 1);
  EXPECT_EQ(far.largest.at, 5);
  EXPECT_EQ(far.largest.absolute, 2);
  EXPECT_EQ(far.largest.relative, 0.5);
}

TEST_F(Comparing, WhatIsNotFiniteMustBeTheSame) {
  const TracedValue value = value_of("x", {"embed"}, {3});
  const Recording recording = recorded("x", {3}, {kNan, kInfinity, 1});
  EXPECT_FALSE(compare(recording, value, {kNan, kInfinity, 1}).differs());
  for (const Floats& other : {Floats{0, kInfinity, 1}, {kNan, -kInfinity, 1}, {kNan, 7, 1}, {kNan, kInfinity, kNan}}) {
    const ComparedValue compared = compare(recording, value, other);
    EXPECT_EQ(compared.beyond, 1);
    EXPECT_TRUE(std::isinf(compared.largest.relative));
  }
  EXPECT_FALSE(compare(recorded("x", {3}, {0, 0, 0}), value, {0, 0, 0}).differs());
  EXPECT_TRUE(compare(recorded("x", {3}, {0, 0, 0}), value, {0, 0, 0.1f}).differs());
}

TEST_F(Comparing, PiecesAreThoseOfTheWhole) {
  const Recording recording = recorded("x", {2, 4, 1}, {0, 1, 2, 3, 10, 11, 12, 13});
  const TracedValue value = value_of("x", {"head", "pos", "element"}, {2, 4, 1});
  TraceComparison comparison(recording, nullptr, kTolerance);
  comparison.begin({value}, kTokens);
  const Floats first = {0, 1, 2, 10, 11, 12}, second = {3, 99};
  comparison.take(0, 0, 3, std::as_bytes(std::span(first)));
  comparison.take(0, 3, 1, std::as_bytes(std::span(second)));
  const ComparedValue& compared = comparison.values().front();
  EXPECT_EQ(compared.beyond, 1);
  EXPECT_EQ(coordinates_text(value, compared.first.at), "head 1, pos 3, element 0");
}

TEST_F(Comparing, OrdersOfAxesAreThoseOfTheRecordingOrItsMap) {
  const TracedValue value = value_of("q", {"pos", "head", "element"}, {2, 3, 1});
  const Floats here = {0, 1, 2, 10, 11, 12}, there = {0, 10, 1, 11, 2, 12};  // head x pos x element
  EXPECT_TRUE(compare(recorded("q", {3, 2, 1}, there, {}), value, here).differs());
  EXPECT_FALSE(compare(recorded("q", {3, 2, 1}, there, {{"axes:q", "head x pos x element"}}), value, here).differs());
  const TraceMap map =
      TraceMap::parse(R"({"values": {"q": {"from": "query", "order": ["head", "pos", "element"]}}})", "map");
  EXPECT_FALSE(compare(recorded("query", {3, 2}, there), value, here, &map).differs());  // ones need no mention
  // Dimensions may be split or merged, as long as they stay in their order.
  const TracedValue wide = value_of("q", {"pos", "head", "element"}, {1, 2, 3});
  for (const auto& extents : {std::vector<int64_t>{6}, {1, 6}, {2, 3}, {2, 3, 1, 1}, {1, 1, 2, 3}}) {
    EXPECT_FALSE(compare(recorded("q", extents, here), wide, here).differs());
  }
  EXPECT_EQ(compare(recorded("q", {3, 2}, here), wide, here).state, State::misfit);
}

TEST_F(Comparing, RotaryPairsAreReordered) {
  TracedValue value = value_of("q", {"pos", "element"}, {1, 6});
  value.rotary = 1, value.order = {RopePairs::interleaved, 4};  // the last two belong to no pair
  const Floats interleaved = {0, 10, 1, 11, 4, 5}, halves = {0, 1, 10, 11, 4, 5};
  const TraceMap map = TraceMap::parse(R"({"values": {"q": {"from": "q", "pairs": "half_split"}}})", "map");
  EXPECT_FALSE(compare(recorded("q", {1, 6}, interleaved), value, interleaved).differs());
  EXPECT_FALSE(compare(recorded("q", {1, 6}, halves), value, interleaved, &map).differs());
  EXPECT_TRUE(compare(recorded("q", {1, 6}, halves), value, interleaved).differs());
  EXPECT_FALSE(
      compare(recorded("q", {1, 6}, halves, {{"pairs:q", "element half_split 4"}}), value, interleaved).differs());
  value.order.pairs = RopePairs::half_split;
  EXPECT_FALSE(
      compare(recorded("q", {1, 6}, interleaved, {{"pairs:q", "element interleaved 4"}}), value, halves).differs());
  value.rotary = -1;
  EXPECT_CONTAINS(compare(recorded("q", {1, 6}, halves), value, halves, &map).reason, "has no rotary axis");
}

TEST_F(Comparing, WhatCannotBeComparedSaysWhy) {
  const TracedValue value = value_of("x", {"pos", "embed"}, {2, 2});
  const Floats elements = {1, 2, 3, 4};
  const Recording of_x = recorded("x", {4}, elements);
  TraceComparison comparison(of_x, nullptr, kTolerance);
  comparison.begin({value_of("y", {"embed"}, {4}), value}, kTokens);
  EXPECT_EQ(comparison.values()[0].state, State::absent);
  EXPECT_FALSE(comparison.values()[0].differs());
  const auto compare_nothing = [&] { compare(recorded("y", {4}, elements), value, elements); };
  EXPECT_CONTAINS(test::error_of(compare_nothing), "has none of the values of this model");
  const ComparedValue other_axes = compare(recorded("x", {4}, elements, {{"axes:x", "pos x head"}}), value, elements);
  EXPECT_EQ(other_axes.state, State::misfit);
  EXPECT_TRUE(other_axes.differs());
  EXPECT_CONTAINS(other_axes.reason, "recorded over 'pos x head'");
  const ComparedValue longer = compare(recorded("x", {5}, {1, 2, 3, 4, 5}), value, elements);
  EXPECT_CONTAINS(longer.reason, "recorded with extents [5], wanted [2, 2]");
  const TraceMap map = TraceMap::parse(R"({"values": {"y": null}})", "map");
  TraceComparison mapped(of_x, &map, kTolerance);
  mapped.begin({value_of("y", {"embed"}, {4}), value}, kTokens);
  EXPECT_EQ(mapped.values()[0].state, State::left_out);
  EXPECT_EQ(mapped.values()[1].state, State::compared);
}

TEST_F(Comparing, ChoicesAgreeOrDoNot) {
  const std::vector<int32_t> recorded_ids = {1000000, 1000001}, ids = {1000000, 1000002};
  SafetensorsWriter writer(path(), {{"ids", Format::i32, {2}}, {"seen", Format::bool8, {2}}});
  writer.write(0, 0, std::as_bytes(std::span(recorded_ids)));
  const std::array<std::byte, 2> seen = {std::byte{1}, std::byte{0}};
  writer.write(1, 0, seen);
  writer.finish();
  const Recording recording = Recording::open(path());
  TracedValue first = value_of("ids", {"choice"}, {2}), second = value_of("seen", {"key"}, {2});
  first.format = Format::i32, second.format = Format::bool8;
  TraceComparison comparison(recording, nullptr, 0.1);
  comparison.begin({first, second}, kTokens);
  comparison.take(0, 0, 1, std::as_bytes(std::span(ids)));
  comparison.take(1, 0, 1, seen);
  EXPECT_EQ(comparison.values()[0].first.at, 1);
  EXPECT_FALSE(comparison.values()[1].differs());
  EXPECT_TRUE(comparison.unused().empty());
}

TEST_F(Comparing, TokensMustBeTheSame) {
  const std::vector<int32_t> tokens = {3, 2};
  SafetensorsWriter writer(path(), {{"tokens", Format::i32, {2}}});
  writer.write(0, 0, std::as_bytes(std::span(tokens)));
  writer.finish();
  const Recording recording = Recording::open(path());
  EXPECT_EQ(recording.tokens(), tokens);
  TraceComparison comparison(recording, nullptr, kTolerance);
  EXPECT_CONTAINS(test::error_of([&] { comparison.begin({value_of("x", {"pos"}, {2})}, kTokens); }),
                  "recording.safetensors: was made with other tokens");
}

TEST(ComparingWithTheReference, AnErrorOfTheStepItself) {
  const TracedValue part = value_of("a/score", {"pos"}, {2}), reference = value_of("a/reference", {"pos"}, {2}),
                    result = value_of("a", {"pos"}, {2}), other = value_of("b", {"pos"}, {2});
  ReferenceComparison comparison(kTolerance);
  comparison.begin({part, reference, result, other}, kTokens);
  const Floats right = {1, 2}, wrong = {1, 2.5f};
  comparison.take(0, 0, 2, std::as_bytes(std::span(wrong)));
  comparison.take(1, 0, 2, std::as_bytes(std::span(right)));
  comparison.take(2, 0, 2, std::as_bytes(std::span(wrong)));
  comparison.take(3, 0, 2, std::as_bytes(std::span(wrong)));
  ASSERT_EQ(comparison.values().size(), 1u);
  EXPECT_EQ(comparison.values()[0].value.name, "a");
  EXPECT_EQ(comparison.values()[0].beyond, 1);
  EXPECT_EQ(comparison.values()[0].first.at, 1);
}

}  // namespace
}  // namespace weft

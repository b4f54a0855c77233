// What records say of themselves: lists of axes, the elements of formats and results, the cache of a region.
#include <gtest/gtest.h>

#include "core/record/axis_list.h"

namespace weft {
namespace {

TEST(AxisLists, FindJoinAndRemove) {
  const AxisList axes = {4, 2, 9};
  EXPECT_EQ(find_axis(axes, 9), 2u);
  EXPECT_EQ(find_axis(axes, 3), axes.size());
  EXPECT_TRUE(contains(axes, 4));
  EXPECT_FALSE(contains(axes, 3));
  EXPECT_EQ(without(axes, 2), (AxisList{4, 9}));
  EXPECT_EQ(without(axes, AxisList{9, 4, 1}), AxisList{2});
  EXPECT_EQ(joined(axes, {1, 3}), (AxisList{4, 2, 9, 1, 3}));
  AxisList more = axes;
  add_axes(more, AxisList{2, 7, 4});
  EXPECT_EQ(more, (AxisList{4, 2, 9, 7}));
}

// ids[a] choose rows of w[rows, b, k]; x[a, k] times that, over k.
TEST(AxisLists, AxesOfAContraction) {
  constexpr AxisId a = 0, b = 1, k = 2, rows = 3;
  Region region;
  region.operands = {{0, {{a, a, 0, -1}}}, {1, {{kNoAxis, rows, 0, 0}, {b, b, 0, -1}, {k, k, 0, -1}}}};
  region.lhs = {{{k, a}, kNoAxis, {}, {}}};
  region.contractions = {{0, 1, {k}}};
  EXPECT_EQ(loop_axes(region, region.operands[1]), (AxisList{a, b, k}));
  EXPECT_EQ(contraction_axes(region, region.contractions[0]), (AxisList{a, b}));
}

TEST(Records, ElementsAndTheirFormats) {
  for (const Element element : {Element::f32, Element::i32, Element::bool8}) {
    EXPECT_EQ(read_as(plain_format(element)), element);
  }
  EXPECT_EQ(plain_format(Element::i32), Format::i32);
  for (const Format format : kFloatFormats) EXPECT_EQ(read_as(format), Element::f32);
  Region region;
  region.body.program.add({.op = ScalarOp::constant, .type = Element::bool8, .imm = 1});
  region.post.add({.op = ScalarOp::constant, .type = Element::i32, .imm = 1});
  region.rotation.emplace();
  EXPECT_EQ(result_element(region), Element::i32);  // of post
  region.post = {};
  EXPECT_EQ(result_element(region), Element::f32);
  region.rotation.reset();
  EXPECT_EQ(result_element(region), Element::bool8);  // of the body
}

TEST(Records, TheCacheOfARegion) {
  GraphRecord graph;
  graph.values.resize(2);
  graph.values[1].kind = ValueKind::cache_position;
  graph.values[1].cache = 3;
  Region region;
  region.operands = {{0, {}}};
  EXPECT_EQ(cache_of(graph, region), -1);
  region.operands.push_back({1, {}});
  EXPECT_EQ(cache_of(graph, region), 3);
}

}  // namespace
}  // namespace weft

#include "runtime/plan/extents.h"

#include <gtest/gtest.h>

#include "tests/errors.h"
#include "tests/record_builder.h"

namespace weft {
namespace {

using test::error_of;
using test::RecordBuilder;

TEST(Extents, AreKnownFromTypesAndWeights) {
  RecordBuilder b;
  const AxisId pos = b.axis("pos"), dim = b.axis("dim", 4), embed = b.axis("embed");
  b.random_weight("w", {embed, dim}, {6, 4});
  b.input("x", {pos, embed});
  const ExtentTable known = ExtentTable::of_graph(b.graph);
  EXPECT_EQ(known[dim], 4);
  EXPECT_EQ(known[embed], 6);
  EXPECT_FALSE(known.known(pos));
}

TEST(Extents, DisagreementNamesAxisExtentsAndOperands) {
  RecordBuilder b;
  const AxisId embed = b.axis("embed"), out = b.axis("out"), pos = b.axis("pos");
  b.random_weight("blk.0.attn_q", {out, embed}, {8, 64});
  const ValueId x = b.input("x", {pos, embed});
  ExtentTable table = ExtentTable::of_graph(b.graph);
  EXPECT_EQ(error_of([&] { table.set_by_value(embed, 32, x); }),
            "axis 'embed' is 64 in weight 'blk.0.attn_q' but 32 in input 'x'");
}

TEST(Extents, WeightAgainstItsAxisType) {
  RecordBuilder b;
  const AxisId dim = b.axis("head_dim", 64);
  b.random_weight("w", {dim}, {48});
  EXPECT_EQ(error_of([&] { ExtentTable::of_graph(b.graph); }),
            "axis 'head_dim' is 64 in its type but 48 in weight 'w'");
}

TEST(Extents, ProductsAreSolvedInAllDirections) {
  for (int unknown = 0; unknown < 3; ++unknown) {
    RecordBuilder b;
    const AxisId whole = b.axis("whole"), outer = b.axis("outer"), inner = b.axis("inner");
    b.graph.rules.push_back({ExtentRule::Kind::product, whole, outer, inner, 0, 0, "split<whole, outer, inner>"});
    ExtentTable table(b.graph);
    if (unknown != 0) table.set_by_caller(whole, 12);
    if (unknown != 1) table.set_by_caller(outer, 3);
    if (unknown != 2) table.set_by_caller(inner, 4);
    table.apply_rules();
    EXPECT_EQ(table[whole], 12);
    EXPECT_EQ(table[outer], 3);
    EXPECT_EQ(table[inner], 4);
  }
}

TEST(Extents, RulesChain) {
  RecordBuilder b;
  const AxisId a = b.axis("a"), two = b.axis("two"), c = b.axis("c"), d = b.axis("d"), e = b.axis("e");
  // Written so that one pass in order is not enough.
  b.graph.rules.push_back({ExtentRule::Kind::equal, e, d, kNoAxis, 0, 0, "rename<d, e>"});
  b.graph.rules.push_back({ExtentRule::Kind::product, c, a, two, 0, 0, "merge<a, two, c>"});
  b.graph.rules.push_back({ExtentRule::Kind::slice, d, c, kNoAxis, 2, 5, "slice<c, d>"});
  b.graph.rules.push_back({ExtentRule::Kind::product, c, d, a, 0, 0, "split<c, d, a>"});
  ExtentTable table(b.graph);
  table.set_by_caller(a, 2);
  table.set_by_caller(two, 5);
  table.apply_rules();
  EXPECT_EQ(table[c], 10);
  EXPECT_EQ(table[d], 5);
  EXPECT_EQ(table[e], 5);
}

TEST(Extents, RulesThatFail) {
  RecordBuilder b;
  const AxisId whole = b.axis("whole"), outer = b.axis("outer"), inner = b.axis("inner");
  b.graph.rules.push_back({ExtentRule::Kind::product, whole, outer, inner, 0, 0, "split<whole, outer, inner>"});
  ExtentTable table(b.graph);
  table.set_by_caller(whole, 13);
  table.set_by_caller(inner, 4);
  EXPECT_EQ(
      error_of([&] { table.apply_rules(); }),
      "split<whole, outer, inner>: axis 'whole' is 13 in the bindings, not a multiple of axis 'inner', which is 4 in "
      "the bindings");

  ExtentTable disagreeing(b.graph);
  disagreeing.set_by_caller(whole, 12);
  disagreeing.set_by_caller(inner, 4);
  disagreeing.set_by_caller(outer, 2);
  EXPECT_EQ(error_of([&] { disagreeing.apply_rules(); }),
            "axis 'whole' is 12 in the bindings but 8 in split<whole, outer, inner>");

  ExtentTable huge(b.graph);
  huge.set_by_caller(outer, int64_t{1} << 40);
  huge.set_by_caller(inner, int64_t{1} << 40);
  EXPECT_CONTAINS(error_of([&] { huge.apply_rules(); }), "overflows");
}

TEST(Extents, PartsAddUp) {
  RecordBuilder b;
  const AxisId whole = b.axis("whole"), first = b.axis("first"), second = b.axis("second");
  b.graph.rules.push_back({ExtentRule::Kind::sum, whole, first, second, 0, 0, "concat<first, second, whole>"});
  ExtentTable sum(b.graph);
  sum.set_by_caller(first, 3);
  sum.set_by_caller(second, 4);
  sum.apply_rules();
  EXPECT_EQ(sum[whole], 7);
  ExtentTable part(b.graph);
  part.set_by_caller(whole, 7);
  part.set_by_caller(second, 7);
  part.apply_rules();
  EXPECT_EQ(part[first], 0);
  ExtentTable less(b.graph);
  less.set_by_caller(whole, 2);
  less.set_by_caller(first, 3);
  EXPECT_EQ(
      error_of([&] { less.apply_rules(); }),
      "concat<first, second, whole>: axis 'whole' is 2 in the bindings, less than its part 'first', which is 3 in "
      "the bindings");
  ExtentTable other(b.graph);
  for (const AxisId axis : {whole, first, second}) other.set_by_caller(axis, 5);
  EXPECT_CONTAINS(error_of([&] { other.apply_rules(); }), "axis 'whole' is 5 in the bindings but 10 in concat");
}

TEST(Extents, SliceStaysInside) {
  RecordBuilder b;
  const AxisId all = b.axis("all"), part = b.axis("part");
  b.graph.rules.push_back({ExtentRule::Kind::slice, part, all, kNoAxis, 3, 4, "slice<all, part>(3, 4)"});
  ExtentTable fits(b.graph);
  fits.set_by_caller(all, 7);
  fits.apply_rules();
  EXPECT_EQ(fits[part], 4);
  ExtentTable table(b.graph);
  table.set_by_caller(all, 6);
  EXPECT_EQ(error_of([&] { table.apply_rules(); }),
            "slice<all, part>(3, 4): 3 + 4 is beyond axis 'all', which is 6 in the bindings");
}

TEST(Extents, LimitsCoverRunTimeAxes) {
  RecordBuilder b;
  const AxisId pos = b.axis("pos"), two = b.axis("two", 2), merged = b.axis("merged"), embed = b.axis("embed");
  const ValueId x = b.input("x", {pos, two});
  b.random_weight("w", {embed}, {8});
  b.value("y", {merged});
  b.graph.rules.push_back({ExtentRule::Kind::product, merged, pos, two, 0, 0, "merge"});
  const ExtentTable known = ExtentTable::of_graph(b.graph);
  EXPECT_EQ(
      error_of([&] { ExtentTable::of_limits(known, {}); }),
      "axis 'pos' is known at run time only and has no limit; Limits().set(graph.axis<...>(), most) gives it one");
  const ExtentTable limits = ExtentTable::of_limits(known, Limits().set(pos, 16));
  EXPECT_EQ(limits[merged], 32);
  EXPECT_EQ(error_of([&] { ExtentTable::of_limits(known, Limits().set(pos, 16).set(embed, 7)); }),
            "axis 'embed' is 8 in weight 'w', above its limit of 7");

  ExtentTable run = known;
  run.set_by_value(pos, 17, x);
  run.apply_rules();
  EXPECT_EQ(error_of([&] { run.check_against(limits); }),
            "axis 'pos' is 17 in input 'x', above the plan's limit of 16");
}

TEST(Extents, BytesAreCheckedForOverflow) {
  RecordBuilder b;
  const AxisId x = b.axis("x"), y = b.axis("y");
  const ValueId value = b.value("big", {x, y});
  const ValueId blocks = b.input("q", {x, y}, Format::q8_0);
  std::vector<int64_t> extents = {int64_t{1} << 40, int64_t{1} << 40};
  EXPECT_EQ(error_of([&] { value_bytes(b.graph, value, extents.data()); }), "value 'big' is too large");
  extents = {3, 64};
  EXPECT_EQ(value_bytes(b.graph, value, extents.data()), 3u * 64 * 4);
  EXPECT_EQ(value_bytes(b.graph, blocks, extents.data()), 3u * 2 * 34);
  extents = {32, 48};  // a block may span rows ...
  EXPECT_EQ(value_bytes(b.graph, blocks, extents.data()), 48u * 34);
  extents = {33, 48};  // ... but not the end
  EXPECT_EQ(error_of([&] { value_bytes(b.graph, blocks, extents.data()); }),
            "value 'q': its 1584 elements cut a block of Q8_0");
}

}  // namespace
}  // namespace weft

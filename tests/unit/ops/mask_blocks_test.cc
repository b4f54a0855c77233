// Which blocks of queries and keys a score lets see nothing, something or all, against every score of the block.
#include "ops/attention/mask_blocks.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/attention/cases.h"
#include "ops/attention/kernels.h"
#include "tests/errors.h"

namespace weft {
namespace {

// Whether query and key at these positions meet, by the plain definition of the score's program.
bool sees(const StepCase& step_case, int64_t query, int64_t key) {
  const Region& region = step_case.step().regions.front();
  const bool paged = !step_case.graph.caches.empty();
  const ScalarValue score = evaluate(region.body.program, [&](const ScalarInstr& instr) -> ScalarValue {
    const auto at = [](int64_t position) {
      return ScalarValue{static_cast<double>(position), static_cast<int32_t>(position)};
    };
    if (instr.op == ScalarOp::index) {
      const auto axis = static_cast<AxisId>(instr.imm);
      return at(axis == region.attention->key ? key : axis == region.body.axes.front() ? query : 0);
    }
    if (instr.op != ScalarOp::load || !paged) return {1, 1};
    const ValueId value = region.operands[static_cast<size_t>(instr.imm)].value;
    const CacheRecord& cache = step_case.graph.caches.front();
    return value == cache.positions ? at(key) : value == cache.pos_values ? at(query) : ScalarValue{1, 1};
  });
  return !(std::isinf(score.f) && score.f < 0);
}

struct Masked {
  const char* name;
  unsigned score;
  int64_t queries, keys;
};

class MaskBlocksOf : public testing::TestWithParam<Masked> {};

TEST_P(MaskBlocksOf, AreThoseOfTheirScores) {
  const Masked& of = GetParam();
  AttentionShape shape;
  shape.sequences = {{.length = static_cast<int32_t>(of.keys), .rows = static_cast<int32_t>(of.queries)}};
  shape.score = of.score;
  shape.heads = 1, shape.group = 4;
  const StepCase step_case = attention_case(shape);
  const MaskBlocks blocks = mask_blocks(step_case.graph, step_case.step(), step_case.max_extents, of.queries, of.keys);
  EXPECT_EQ(blocks.key_block, kBlockKeys);
  EXPECT_EQ(blocks.query_block, kF32TileRows / 4);
  ASSERT_EQ(blocks.blocks.size(), static_cast<size_t>(blocks.rows() * blocks.columns()));
  int64_t seen_to_be_decided = 0;
  for (int64_t row = 0; row < blocks.rows(); ++row) {
    for (int64_t column = 0; column < blocks.columns(); ++column) {
      int64_t some = 0, all = 0;
      const int64_t first = of.keys - of.queries + row * blocks.query_block;
      for (int64_t q = first; q < std::min(first + blocks.query_block, of.keys); ++q) {
        for (int64_t k = column * blocks.key_block; k < std::min((column + 1) * blocks.key_block, of.keys); ++k) {
          ++all, some += sees(step_case, q, k);
        }
      }
      // What intervals of positions decide, for masks that are comparisons of positions, is all there is to decide.
      const BlockState want = some == 0 ? BlockState::skipped : some == all ? BlockState::full : BlockState::partial;
      EXPECT_EQ(blocks.at(row, column), want) << "row " << row << ", column " << column;
      seen_to_be_decided += want != BlockState::partial;
    }
  }
  EXPECT_GT(seen_to_be_decided, 0);
  int64_t counted = 0;
  for (const BlockState state : {BlockState::skipped, BlockState::partial, BlockState::full})
    counted += blocks.count(state);
  EXPECT_EQ(counted, blocks.rows() * blocks.columns());
}

INSTANTIATE_TEST_SUITE_P(Scores, MaskBlocksOf,
                         testing::Values(Masked{"Causal", kCausal, 200, 200}, Masked{"Behind", kCausal, 70, 333},
                                         Masked{"CappedAlibi", kCausal | kAlibi | kSoftCap, 130, 130},
                                         Masked{"NoMask", 0, 65, 129}, Masked{"One", kCausal, 1, 64}),
                         [](const auto& one) { return one.param.name; });

TEST(MaskBlocks, OtherStepsHaveNone) {
  CaseBuilder c(StepKind::map, "copy");
  const AxisId pos = c.axis("pos", 3);
  const int x = c.operand(c.input("x", {pos}));
  ScalarBuilder s;
  c.body({pos}, s.finish(s.load(x)));
  const StepCase step_case = c.build();
  EXPECT_NE(test::error_of([&] {
              mask_blocks(step_case.graph, step_case.step(), step_case.extents, 1, 1);
            }).find("is no attention"),
            std::string::npos);
}

}  // namespace
}  // namespace weft

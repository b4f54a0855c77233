#include "ops/attention/mask_blocks.h"

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "core/record/axis_list.h"
#include "ops/attention/kernels.h"
#include "ops/attention/mask_analysis.h"

namespace weft {

namespace {

enum class Kind { key, query, zero, unknown };

// What an i32 source of the score holds in such a sequence.
Kind kind_of(const GraphRecord& graph, const Region& region, const ScalarInstr& instr, AxisId query_axis) {
  const int cache = cache_of(graph, region);
  if (instr.op == ScalarOp::index) {
    const auto axis = static_cast<AxisId>(instr.imm);
    return axis == region.attention->key ? Kind::key : axis == query_axis ? Kind::query : Kind::unknown;
  }
  if (instr.op != ScalarOp::load || cache < 0) return Kind::unknown;
  const Operand& operand = region.operands[static_cast<size_t>(instr.imm)];
  const auto is_whole = [](const ViewAxis& axis) { return axis.gather < 0 && axis.begin == 0; };
  if (!std::ranges::all_of(operand.view, is_whole)) return Kind::unknown;
  const CacheRecord& record = graph.caches[static_cast<size_t>(cache)];
  if (operand.value == record.positions) return Kind::key;
  if (operand.value == record.pos_values) return Kind::query;
  return operand.value == record.seq ? Kind::zero : Kind::unknown;
}

}  // namespace

int64_t MaskBlocks::count(BlockState state) const { return std::ranges::count(blocks, state); }

MaskBlocks mask_blocks(const GraphRecord& graph, const Step& step, const std::vector<int64_t>& extents, int64_t queries,
                       int64_t keys) {
  if (step.kind != StepKind::attention) throw Error("step '" + step.name + "' is no attention");
  const Region& region = step.regions.front();
  const AxisId key = region.attention->key;
  const int cache = cache_of(graph, region);
  const AxisId query_axis = cache >= 0 ? graph.caches[static_cast<size_t>(cache)].pos : region.body.axes.front();
  // Rows that share keys: those of axes that neither the values nor what scores are made of have.
  int64_t together = 1;
  const auto shares = [&](AxisId axis) {
    const auto has = [&](int operand) {
      return contains(loop_axes(region, region.operands[static_cast<size_t>(operand)]), axis);
    };
    return !has(region.attention->value) &&
           std::ranges::none_of(region.contractions, [&](const Contraction& one) { return has(one.rhs); });
  };
  for (const AxisId axis : region.body.axes) {
    if (axis != key && axis != query_axis && shares(axis)) together *= std::max<int64_t>(extents[axis], 1);
  }

  const MaskAnalysis mask(region.body.program);
  std::vector<Kind> kinds;
  for (const ScalarInstr& instr : mask.sources()) kinds.push_back(kind_of(graph, region, instr, query_axis));
  MaskBlocks blocks{.queries = queries, .keys = keys};
  blocks.query_block = std::max<int64_t>(kF32TileRows / together, 1);
  blocks.key_block = kBlockKeys;
  const int64_t first_query = keys - queries;
  const auto range = [](int64_t first, int64_t last) {
    return IntRange{static_cast<int32_t>(first), static_cast<int32_t>(last)};
  };
  for (int64_t row = 0; row < blocks.rows(); ++row) {
    const int64_t q = first_query + row * blocks.query_block;
    const IntRange seen_by = range(q, std::min(q + blocks.query_block, keys) - 1);
    for (int64_t column = 0; column < blocks.columns(); ++column) {
      const int64_t k = column * blocks.key_block;
      const IntRange seen = range(k, std::min(k + blocks.key_block, keys) - 1);
      std::vector<IntRange> ranges;
      for (const Kind kind : kinds) {
        switch (kind) {
          case Kind::key: ranges.push_back(seen); break;
          case Kind::query: ranges.push_back(seen_by); break;
          case Kind::zero: ranges.push_back({0, 0}); break;
          case Kind::unknown:
            ranges.push_back({std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()});
        }
      }
      const bool no_mask = !mask.can_mask();
      blocks.blocks.push_back(no_mask || mask.never_masked(ranges) ? BlockState::full
                              : mask.always_masked(ranges)         ? BlockState::skipped
                                                                   : BlockState::partial);
    }
  }
  return blocks;
}

}  // namespace weft

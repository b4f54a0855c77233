// What the score of an attention step lets its queries see, by blocks: what the kernel skips, and what it need not ask.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/record/graph.h"

namespace weft {

enum class BlockState : uint8_t { skipped, partial, full };

struct MaskBlocks {
  int64_t queries = 0, keys = 0;           // positions
  int64_t query_block = 1, key_block = 1;  // of each block but the last ones
  std::vector<BlockState> blocks = {};     // [rows()][columns()]
  int64_t rows() const { return (queries + query_block - 1) / query_block; }
  int64_t columns() const { return (keys + key_block - 1) / key_block; }
  BlockState at(int64_t row, int64_t column) const { return blocks[static_cast<size_t>(row * columns() + column)]; }
  int64_t count(BlockState state) const;
};

// Of one sequence whose tokens have positions 0, 1, ..., `keys` of them, the last `queries` of which are queries; for a
// step over dense keys, whose queries are coordinates of the score's first axis, the same. Blocks are those of products
// in f32: the rows of a tile, all query heads that share keys together, by the keys that are taken at a time. What the
// mask asks of other values is taken as unknown. `extents`: by AxisId.
MaskBlocks mask_blocks(const GraphRecord& graph, const Step& step, const std::vector<int64_t>& extents, int64_t queries,
                       int64_t keys);

}  // namespace weft

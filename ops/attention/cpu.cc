// Attention in one pass over the keys: scores of a block of keys for a tile of query rows, their program, the online
// softmax, and the weighted sum of the values. No score outlives its block.
#include "ops/attention/attention.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/error.h"
#include "ops/contract/kernels.h"

namespace weft {
namespace {

// From so many query rows on, keys are brought into the order of the blocked product.
constexpr int64_t kGemmRows = 8;
// Keys of a part at least, where several threads share the keys of one tile.
constexpr int64_t kPartKeys = 256;

}  // namespace

// One thread's pointers into its scratch.
struct AttentionKernel::Thread {
  std::array<float*, kMaxScores> scores;      // [kTileRows][kBlockKeys] by contraction
  std::array<float*, kMaxScores> packed;      // query rows for the blocked product
  std::array<float*, kMaxLoads> loads;        // [kBlockKeys], by cached load
  float *panel, *values, *sums;
  SoftmaxState* state;
  int64_t* coordinates;                       // [kTileRows][kMaxLoops]
  std::array<const float**, kMaxScores> left; // query rows
  const float** value_rows;
  const std::byte** addresses;
  int64_t* index;                             // of a block's keys
  std::array<LhsRun, kMaxScores> lhs;
  std::array<const float*, kMaxScores> matrix;
  std::array<KeyRowsRun, kMaxScores> keys;
  std::array<KeyRowsRun, kMaxLoads> cached;
  KeyRowsRun value;
  SourceRun* body;
  std::array<SourceRun*, kMaxMaskSources> mask;
};

// A tile of query rows that share their keys.
struct AttentionKernel::Tile {
  int64_t batch;             // flat coordinate on the batch axes
  int64_t pos, pos_count;    // where there are pages: coordinates on `pos` of one sequence
  int64_t row, row_count;    // flat coordinates on the other row axes
  int64_t sequence;          // -1: no pages
  int64_t keys;
  int64_t rows() const { return pos_count * row_count; }
};

}  // namespace weft

// What ContractPass shares between its making and its running.
#pragma once

#include <array>

#include "ops/contract/pass.h"

namespace weft {

namespace contract_pass {

// From so many rows on, decoding a panel once for all of them pays off.
inline constexpr int64_t kGemmRows = 24;
// Threads compute so many elements of left-hand rows each for itself rather than wait for each other.
inline constexpr int64_t kOwnElements = 16384;
// Rows of a tile at most, a multiple of each target's row tile; and the memory that a thread's tiles may take.
inline constexpr int64_t kRowChunk = 252;
inline constexpr size_t kTileBytes = size_t{2} << 20;
// Right-hand rows that stay in cache while all left-hand rows meet them.
inline constexpr int64_t kDotColumns = 16;

}  // namespace contract_pass

// A row and what it meets on the right.
struct RowOrder {
  int64_t choice;
  int32_t row;
};

struct ContractPass::Job {
  const StepArgs& args;
  const Team& team;
  std::byte* shared;
  std::byte* own;
  int64_t rows = 0, columns = 0;
  bool alone = false;  // this thread prepares all that it needs itself
  std::array<LhsRun, kMaxContractions> lhs{};
  std::array<const float*, kMaxContractions> matrix{};         // by lhs; null: in place
  std::array<const std::byte*, kMaxContractions> quantized{};  // by lhs
  std::array<RhsRun, kMaxContractions> rhs{};                  // by entry
  std::array<const RowOrder*, kMaxContractions> order{};       // by entry; null: one group in order
  std::array<int64_t, kMaxContractions> entry_rows{};

  const float* left(size_t index, int64_t row) const {
    return matrix[index] != nullptr ? matrix[index] + row * lhs[index].k() : lhs[index].row(row);
  }
};

}  // namespace weft

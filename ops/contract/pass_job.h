// What ContractPass shares between its making and its running.
#pragma once

#include <array>

#include "ops/contract/pass.h"

namespace weft {

namespace contract_pass {

// Fewer rows than these are few: threads prepare them each for itself, and tiles are wide.
inline constexpr int64_t kFewRows = 24;
// Threads prepare so many elements of left-hand rows each for itself rather than wait for each other.
inline constexpr int64_t kOwnElements = 16384;
// The multiple of columns that tiles are stored by.
inline constexpr int64_t kTileColumns = 64;
// Rows of a tile at most, a multiple of the built-in kernels' tiles: those of a usual prefill, so that weights are
// decoded once for it. And the memory that a thread's tiles may take.
inline constexpr int64_t kRowChunk = 576;
inline constexpr size_t kTileBytes = size_t{2} << 20;

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
  std::array<const float*, kMaxContractions> matrix{};    // by lhs; null: in place
  std::array<RhsRun, kMaxContractions> rhs{};             // by entry
  std::array<const RowOrder*, kMaxContractions> order{};  // by entry; null: one group in order
  std::array<int64_t, kMaxContractions> entry_rows{};

  const float* left(size_t index, int64_t row) const {
    return matrix[index] != nullptr ? matrix[index] + row * lhs[index].k() : lhs[index].row(row);
  }
  std::byte* rows_at(const RowsPlace& place, const GroupRows* group) const {
    if (!place.in_group) return alone ? own + place.own_at : shared + place.at;
    return args.group + (alone ? group->own_at(team.thread) + place.own_at : place.at);
  }
};

// Calls group(first, last): rows [first, last) of the order meet the same right-hand rows.
template <class Group>
void for_groups(const RowOrder* order, int64_t first, int64_t last, const Group& group) {
  while (first < last) {
    int64_t end = first + 1;
    if (order == nullptr) {
      end = last;
    } else {
      while (end < last && order[end].choice == order[first].choice) ++end;
    }
    group(first, end);
    first = end;
  }
}

}  // namespace weft

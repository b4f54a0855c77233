// Left-hand rows that several contractions of a group of steps multiply: what is done to them (evaluating, quantizing,
// bringing into tiles) is done once, by the first contraction that runs, in memory that the group shares.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "core/record/graph.h"
#include "ops/cpu/kernel_table.h"

namespace weft {

// What becomes of the rows. Contractions share memory if all of it is equal.
struct RowsUse {
  size_t list = 0;  // of equal rows
  std::vector<AxisId> row_axes, k_axes;
  std::optional<ActivationForm> form;               // nothing: evaluated as f32, one row after the other
  std::vector<std::pair<int64_t, int64_t>> wanted;  // numbers of rows of a group for which kernels take this form
  int64_t chunk = 0;                                // rows after which tiles begin anew; 0: only where they are full
  bool operator==(const RowsUse&) const = default;
};

// Where rows lie.
struct RowsPlace {
  size_t at = 0;      // of the team
  size_t own_at = 0;  // of a thread that prepares them for itself
  bool in_group = false;
  bool is_first = true;  // this contraction prepares them
};

class GroupRows {
 public:
  // `equal`: contractions with equal left-hand rows, in the order in which their steps run.
  explicit GroupRows(std::vector<std::vector<ContractionRef>> equal) : equal_(std::move(equal)) {}

  // The list that has this contraction; nothing where no other has its rows.
  std::optional<size_t> list_of(const ContractionRef& contraction) const;
  // Places are asked for in the order in which steps run. `bytes`, `own_bytes`: of the team and of each thread.
  RowsPlace place(const RowsUse& use, size_t bytes, size_t own_bytes);

  size_t bytes(int threads) const { return bytes_ + static_cast<size_t>(threads) * own_bytes_; }
  // A thread's part of the memory, when all places are known.
  size_t own_at(int thread) const { return bytes_ + static_cast<size_t>(thread) * own_bytes_; }

 private:
  std::vector<std::vector<ContractionRef>> equal_;
  std::vector<std::pair<RowsUse, RowsPlace>> places_;
  size_t bytes_ = 0, own_bytes_ = 0;
};

}  // namespace weft

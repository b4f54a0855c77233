// Contractions that share their rows and columns, computed tile by tile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/aligned_bytes.h"
#include "ops/contract/lhs_rows.h"
#include "ops/contract/rhs_rows.h"
#include "ops/cpu/kernel.h"

namespace weft {

// Takes finished tiles: element (r, c) of contraction i is sums[i][(r - row_first) * stride[i] + c -
// column_first].
class TileSink {
 public:
  virtual ~TileSink() = default;
  virtual void tile(int64_t row_first, int64_t row_last, int64_t column_first, int64_t column_last,
                    const float* const* sums, const int64_t* stride) = 0;
};

class ContractPass {
 public:
  static constexpr size_t kMaxContractions = 8;
  static constexpr int64_t kMaxColumns = 512;  // of a tile

  // `contractions`: indices into region.contractions, all with equal rows and columns. `max_column_unit`: of
  // run().
  ContractPass(const KernelContext& context, const Region& region, std::vector<int> contractions,
               int64_t max_column_unit);

  size_t shared_bytes() const { return shared_bytes_; }  // scratch of the team, at the limits
  size_t thread_bytes() const { return thread_bytes_; }  // and of each thread

  // Every thread calls it, with the same `shared` (64-byte aligned) and its own `own`. Column ranges of tiles are
  // multiples of `column_unit` (at most kMaxColumns) but for the end. Barriers only before the first tile, none
  // where there are few rows.
  void run(const StepArgs& args, const Team& team, std::byte* shared, std::byte* own, int64_t column_unit,
           TileSink& sink) const;

  // What will run for how many rows of a group: those that `all` lacks are added.
  void add_kernels(std::vector<KernelRange>& all) const;

 private:
  struct Lhs {  // rows that contractions share
    int source;
    std::vector<AxisId> summed, row_axes, k;
    LhsRows rows;
    int64_t max_rows, max_k;
    size_t workspace_at;  // in a thread's scratch
    RowsPlace matrix;     // of computed rows
  };
  // Left-hand rows in the form of some kernels. Tiles of several rows follow the order of the groups.
  struct Prepared {
    int lhs;
    int order;  // entry whose order it follows; -1: that of the rows
    ActivationForm form;
    RowsPlace place;
  };
  struct Pick {  // of kernels, by rising numbers of rows of a group
    int64_t last_rows;
    const ProductKernel* kernel;
    int prepared;  // -1: f32 rows as they are
  };
  struct Entry {
    int lhs;
    std::vector<AxisId> summed;
    RhsRows rhs;
    std::vector<Pick> picks;
    int order;                               // entry whose groups these are; itself, or an earlier one
    int64_t max_rows;                        // rows times `summed`
    size_t copy_at, order_at, own_order_at;  // shared; own_order_at of a thread
    size_t workspace_at, sums_at;            // of a thread

    const Pick& pick(int64_t rows) const {
      size_t i = 0;
      while (picks[i].last_rows < rows) ++i;
      return picks[i];
    }
  };
  struct Job;
  void lay_out(const KernelContext& context, int64_t max_column_unit);
  std::optional<size_t> shared_list(const KernelContext& context) const;
  RowsUse use_of(const Prepared& prepared, size_t list) const;
  bool prepares_for_others() const;
  int prepared_for(int lhs, int order, const ActivationForm& form);
  void prepare(Job& job) const;
  void bring_into_form(Job& job) const;
  // Returns how many floats before the first column the sums begin.
  int64_t compute(Job& job, size_t entry, int64_t row_first, int64_t row_last, int64_t column_first,
                  int64_t column_last, int64_t stride, bool backwards) const;

  const Region* region_;
  const GroupRows* group_ = nullptr;
  std::vector<int> contractions_;
  std::vector<AxisId> rows_, columns_;
  std::vector<Lhs> lhs_;
  std::vector<Entry> entries_;
  std::vector<Prepared> prepared_;
  int64_t row_chunk_ = 1;
  int64_t wide_columns_ = 0;  // ProductKernel::wide_columns, the most of all picks
  size_t own_pointers_at_ = 0, own_left_at_ = 0, own_out_at_ = 0, own_kernel_at_ = 0;
  AlignedBytes zero_;  // a right-hand row of zeros, or a group of them
  size_t shared_bytes_ = 0, thread_bytes_ = 0;
};

}  // namespace weft

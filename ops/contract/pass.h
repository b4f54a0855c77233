// Contractions that share their rows and columns, computed tile by tile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ops/contract/lhs_rows.h"
#include "ops/contract/rhs_rows.h"
#include "ops/cpu/kernel.h"

namespace weft {

// The axes of a contraction's result.
struct ContractionAxes {
  std::vector<AxisId> rows;     // what remains of lhs, in its order
  std::vector<AxisId> columns;  // what rhs has beyond that, in its order
  std::vector<AxisId> summed;   // contracted axes along which ids choose other rhs rows: summed up last
  std::vector<AxisId> k;        // the other contracted axes
};
ContractionAxes axes_of(const Region& region, const Contraction& contraction);

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

  // "q8_0 f32", or "q8_0 int8" where activations are quantized.
  std::string describe() const;

 private:
  struct Lhs {  // rows that contractions share
    int source;
    std::vector<AxisId> summed, k;
    LhsRows rows;
    int64_t max_rows, max_k;
    size_t workspace_at;              // in a thread's scratch
    size_t matrix_at, own_matrix_at;  // computed rows: shared, or of a thread
    size_t quantized_at, own_quantized_at;
    bool quantized;  // some contraction reads quantized rows
  };
  struct Entry {
    int lhs;
    std::vector<AxisId> summed;
    RhsRows rhs;
    bool quantized;
    int order;                                          // entry whose groups these are; itself, or an earlier one
    int64_t max_rows;                                   // rows times `summed`
    size_t copy_at, packed_at, order_at, own_order_at;  // shared; own_order_at of a thread
    size_t workspace_at, sums_at;                       // of a thread
  };
  struct Job;
  void lay_out(const KernelContext& context, int64_t max_column_unit);
  void prepare(Job& job) const;
  void pack(Job& job) const;
  void compute(Job& job, size_t entry, int64_t row_first, int64_t row_last, int64_t column_first, int64_t column_last,
               int64_t stride) const;
  size_t packed_by(const Job& job, size_t entry) const;

  const Region* region_;
  std::vector<AxisId> rows_, columns_;
  std::vector<Lhs> lhs_;
  std::vector<Entry> entries_;
  int64_t row_chunk_ = 1;
  size_t own_pointers_at_ = 0, own_panel_at_ = 0, own_out_at_ = 0;
  std::vector<std::byte> zero_;  // a right-hand row of zeros
  size_t shared_bytes_ = 0, thread_bytes_ = 0;
};

}  // namespace weft

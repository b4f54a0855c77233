// Weights whose elements a file has in another order, or in another form, than plans read: matrices stored transposed,
// every other row of one, floats of 8 bits with a scale per block, MXFP4 in two tensors. They are rearranged for those
// who ask, so that packing takes them from the file and nothing is in memory beside what it packs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/deferred_bytes.h"
#include "core/format/format.h"
#include "runtime/files/checkpoint.h"

namespace weft {

// Rows of the matrices of a tensor: of each matrix `rows` ones, `step` apart, from row `first` on.
struct StoredRows {
  enum class Form : uint8_t {
    plain,       // [matrices, all, columns] in the tensor's format; columns are whole blocks
    transposed,  // [matrices, columns, all] in a format without blocks
    f8_e4m3,     // [matrices, all, columns] of 8-bit floats (Micikevicius et al. 2022, arXiv:2209.05433: no infinities,
                 // 0x7f and 0xff are NaN), times a scale per block_rows x block_columns: `scales`, f32 [matrices, all /
                 // block_rows, columns / block_columns], rounded up
    mxfp4,       // [matrices, all, columns / 32, 16] bytes of two elements each, the first in the low bits, and
                 // `scales`, [matrices, all, columns / 32] exponents (Open Compute, "OCP Microscaling Formats", 2023)
  };

  Form form = Form::plain;
  const CheckpointTensor* tensor = nullptr;
  const CheckpointTensor* scales = nullptr;
  int64_t matrices = 1, all = 0, columns = 0;
  int64_t first = 0, rows = 0, step = 1;
  int64_t block_rows = 0, block_columns = 0;  // f8_e4m3

  int64_t count() const { return matrices * rows; }
  // Rows that follow each other in the tensor, as they are.
  bool is_contiguous() const {
    return form == Form::plain && (step == 1 || rows == 1) && (matrices == 1 || rows == all);
  }
};

// The format in which such rows are read: the tensor's; MXFP4; of f8_e4m3 BF16 where all scales are powers of two, so
// that it holds each product exactly, otherwise F32. The tensor's is known.
Format read_format(const StoredRows& rows);

// Rows of several tensors, one after the other, in one format: that of read_format, or, for f8_e4m3, F32.
class ArrangedBytes final : public DeferredBytes {
 public:
  // All have as many columns. Sizes of tensors have been checked.
  ArrangedBytes(std::vector<StoredRows> parts, Format format);

  size_t size() const override { return row_bytes_ * static_cast<size_t>(ends_.empty() ? 0 : ends_.back()); }
  void copy(size_t begin, size_t bytes, std::byte* to) const override;
  void read_ahead(size_t begin, size_t bytes) const override;

 private:
  // visit(part, first row in it, rows) for rows [first, first + count).
  template <class Visit>
  void each_part(int64_t first, int64_t count, const Visit& visit) const;

  std::vector<StoredRows> parts_;
  std::vector<int64_t> ends_;  // of the parts, in rows
  Format format_;
  size_t row_bytes_;
};

}  // namespace weft

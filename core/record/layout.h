// Layouts: how the elements of a weight lie in memory for the kernels that read it. As stored, or packed once so that
// one vector holds neighbouring outputs: then a kernel needs no sum across lanes, and prefill, decode and the gather of
// a tied embedding read the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/format/format.h"

namespace weft {

struct Layout {
  uint8_t rows = 0;  // rows (outputs) that are interleaved; 0: as stored
  uint8_t run = 0;   // consecutive elements of one row that lie side by side

  bool is_stored() const { return rows == 0; }
  auto operator<=>(const Layout&) const = default;
};
inline constexpr Layout kStored{};
inline constexpr Layout kRows16{16, 4};

std::string name(const Layout& layout);  // "stored", "x16": as kernels' names have it

// A weight as matrices of one shape, one after the other (one per expert): each row holds the elements that are
// contracted, whole blocks of the format.
struct MatrixShape {
  int64_t slices = 1, rows = 0, k = 0;
  auto operator<=>(const MatrixShape&) const = default;
};

// Where the elements of such a weight lie in an interleaved layout of n rows and runs of r elements:
//
//   [slice][group of n rows]: values [k / r][n][r], then scales [k / block][n]; to whole cache lines
//
// The last group of a slice has zeros for rows that are not there. Scales are those of the stored blocks, as they are.
// Values are those of the stored blocks; those of Q8_0 are stored 128 higher, as unsigned bytes. A last run that the
// row does not fill has zeros.
class Interleaved {
 public:
  static bool exists(Format format, const Layout& layout);
  // Throws Error where the format has no such layout, or a row is not of whole blocks.
  Interleaved(Format format, const Layout& layout, const MatrixShape& shape);

  const Layout& layout() const { return layout_; }
  const MatrixShape& shape() const { return shape_; }
  int64_t groups() const { return groups_; }  // of a slice
  size_t group_bytes() const { return group_bytes_; }
  size_t scales_at() const { return scales_at_; }  // within a group
  size_t bytes() const { return static_cast<size_t>(shape_.slices * groups_) * group_bytes_; }

  // Group `group` (counted over all slices) from the weight's stored bytes.
  void pack_group(const std::byte* stored, int64_t group, std::byte* out) const;
  // Row `row` (counted over all slices) in its stored form, from the packed bytes: the inverse of pack_group.
  void unpack_row(const std::byte* packed, int64_t row, std::byte* out) const;

 private:
  void pack_blocks(const std::byte* from, int64_t row_count, size_t row_size, std::byte* out) const;
  template <class Move>
  void for_each_piece(int64_t row_in_group, const Move& move) const;

  Format format_;
  Layout layout_;
  MatrixShape shape_;
  int64_t groups_;
  size_t scales_at_, group_bytes_;
};

}  // namespace weft

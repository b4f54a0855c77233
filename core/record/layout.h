// Layouts: how the elements of a weight lie in memory for the kernels that read it. As stored, or packed once so that
// one vector holds neighbouring outputs: then a kernel needs no sum across lanes, and prefill, decode and the gather of
// a tied embedding read the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/align.h"
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

// Where the bytes of such a weight lie in an interleaved layout of n rows and runs of r:
//
//   [slice][group of n rows][chunk of blocks]: [section that leads][block]  [bytes of the section / unit][n][unit]
//                                              [block][other section]       [bytes of the section / unit][n][unit]
//
// A format without blocks has one section, [k / r][n][r] elements; a last run that the row does not fill has zeros. The
// sections of blocks are FormatInfo::sections in their order, their unit is the largest power of two of bytes, up to r,
// that divides them, and bits are turned over or moved where the section says so: all bits are those of the stored
// blocks, so packed weights take what stored ones take. Kernels read a group from front to back, one stream of memory:
// streams that begin anew with every group cost a third of the speed at k 2048. So that all vectors are aligned, the
// sections of which n rows do not fill cache lines (scales of 2 bytes) lead a chunk: those of all its blocks. The last
// chunk may have fewer blocks. (Q8_0, n 16, r 4: the scales of 8 blocks of 16 rows, then their elements, 4 of each of
// 16 rows in 64 bytes.) Groups begin on cache lines; the last one of a slice has zeros for rows that are not there.
class Interleaved {
 public:
  static bool exists(Format format, const Layout& layout);
  // Consecutive bytes of a section that lie side by side.
  static constexpr size_t unit(const BlockSection& section, const Layout& layout) {
    size_t unit = 1;
    while (2 * unit <= layout.run && section.bytes % (2 * unit) == 0) unit *= 2;
    return unit;
  }
  static constexpr bool leads(const BlockSection& section, const Layout& layout) {
    return section.bytes * layout.rows % kCacheLine != 0;
  }
  // Bytes of a block in the sections before section `i` that lead a chunk, or in those that do not.
  static constexpr int64_t bytes_before(size_t i, bool leading, std::span<const BlockSection> sections,
                                        const Layout& layout) {
    int64_t bytes = 0;
    for (const BlockSection& section : sections.first(i)) {
      bytes += leads(section, layout) == leading ? section.bytes : 0;
    }
    return bytes;
  }
  // Blocks of a chunk: what leads it fills cache lines, and it has enough elements that little leads.
  static constexpr int64_t chunk_blocks(std::span<const BlockSection> sections, int64_t block_elements,
                                        const Layout& layout) {
    constexpr int64_t kElements = 256;
    const auto leading = static_cast<size_t>(bytes_before(sections.size(), true, sections, layout));
    int64_t blocks = 1;
    while (blocks * block_elements < kElements || static_cast<size_t>(blocks) * leading * layout.rows % kCacheLine != 0)
      blocks *= 2;
    return blocks;
  }
  // Throws Error where the format has no such layout, or a row is not of whole blocks.
  Interleaved(Format format, const Layout& layout, const MatrixShape& shape);

  const Layout& layout() const { return layout_; }
  const MatrixShape& shape() const { return shape_; }
  int64_t groups() const { return groups_; }  // of a slice
  size_t group_bytes() const { return group_bytes_; }
  size_t bytes() const { return static_cast<size_t>(shape_.slices * groups_) * group_bytes_; }

  // Where the rows of group `group` (counted over all slices) begin among the weight's stored bytes, and where they end
  // for the number of groups: those of all groups follow each other.
  size_t stored_at(int64_t group) const;
  // `count` groups from `first` on, one after the other, from the stored bytes of the weight from stored_at(first) on.
  void pack_groups(const std::byte* stored, int64_t first, int64_t count, std::byte* out) const;
  // Row `row` (counted over all slices) in its stored form, from the packed bytes: the inverse of packing.
  void unpack_row(const std::byte* packed, int64_t row, std::byte* out) const;

 private:
  // Where a section begins: block `in` of a chunk of `count` blocks, which begins at `chunk`.
  struct Place {
    BlockSection section;
    size_t unit;
    size_t of_count, of_block, at;  // chunk + count * of_count + in * of_block + at
  };
  void pack_group(const std::byte* rows, int64_t count, std::byte* out) const;
  // copy(offset in the stored row, offset in the group, bytes, section) for each piece of a row.
  template <class Copy>
  void for_each_piece(int64_t row_in_group, const Copy& copy) const;

  Format format_;
  Layout layout_;
  MatrixShape shape_;
  int64_t groups_;
  std::vector<Place> places_;  // none for formats without blocks
  size_t chunk_blocks_ = 1;
  size_t group_bytes_;
};

}  // namespace weft

#include "core/record/layout.h"

#include <algorithm>
#include <cstring>

#include "core/align.h"
#include "core/error.h"

namespace weft {
namespace {

// What a block is made of: its scales, then a value per element.
struct Pieces {
  size_t scale_bytes = 0, value_bytes = 0;
  uint8_t flip = 0;  // bits of a value's bytes that packing turns over
};

Pieces pieces_of(Format format) {
  switch (format) {
    case Format::f32: return {0, 4, 0};
    case Format::f16:
    case Format::bf16: return {0, 2, 0};
    case Format::q8_0: return {2, 1, 0x80};
    default: return {};
  }
}

// Most pieces are runs of four bytes.
void copy_flipped(const std::byte* from, size_t bytes, uint8_t flip, std::byte* to) {
  if (bytes == 4) {
    uint32_t word;
    std::memcpy(&word, from, 4);
    word ^= flip * 0x01010101u;
    std::memcpy(to, &word, 4);
    return;
  }
  for (size_t i = 0; i < bytes; ++i) to[i] = from[i] ^ static_cast<std::byte>(flip);
}

}  // namespace

std::string name(const Layout& layout) { return layout.is_stored() ? "stored" : "x" + std::to_string(layout.rows); }

bool Interleaved::exists(Format format, const Layout& layout) {
  return !layout.is_stored() && layout.run > 0 && pieces_of(format).value_bytes > 0;
}

Interleaved::Interleaved(Format format, const Layout& layout, const MatrixShape& shape)
    : format_(format), layout_(layout), shape_(shape) {
  if (!exists(format, layout)) {
    throw Error("format " + std::string(weft::name(format)) + " has no layout " + weft::name(layout));
  }
  const FormatInfo& f = info(format);
  if (shape.k % f.block_elements != 0) {
    throw Error("rows of " + std::to_string(shape.k) + " elements are not whole blocks of " + std::string(f.name));
  }
  const Pieces pieces = pieces_of(format);
  const auto rows = static_cast<size_t>(layout.rows);
  groups_ = align_up(shape.rows, layout.rows) / layout.rows;
  scales_at_ = static_cast<size_t>(align_up(shape.k, layout.run)) * rows * pieces.value_bytes;
  group_bytes_ = align_up(scales_at_ + static_cast<size_t>(shape.k / f.block_elements) * rows * pieces.scale_bytes);
}

// move(offset in the stored row, offset in the group, bytes, flip): the pieces of a row, in the order of the row.
template <class Move>
void Interleaved::for_each_piece(int64_t row_in_group, const Move& move) const {
  const FormatInfo& f = info(format_);
  const Pieces pieces = pieces_of(format_);
  const auto rows = static_cast<size_t>(layout_.rows), run = static_cast<size_t>(layout_.run);
  const auto row = static_cast<size_t>(row_in_group), k = static_cast<size_t>(shape_.k);
  const size_t block = f.block_elements;
  const size_t run_bytes = run * pieces.value_bytes;
  size_t from = 0;
  for (size_t i = 0; i < k;) {
    if (pieces.scale_bytes > 0 && i % block == 0) {
      move(from, scales_at_ + (i / block * rows + row) * pieces.scale_bytes, pieces.scale_bytes, uint8_t{0});
      from += pieces.scale_bytes;
    }
    // A run, or what is left of the row; blocks are whole runs.
    const size_t count = std::min(run - i % run, k - i);
    const size_t bytes = count * pieces.value_bytes;
    move(from, (i / run * rows + row) * run_bytes + i % run * pieces.value_bytes, bytes, pieces.flip);
    from += bytes;
    i += count;
  }
}

void Interleaved::pack_group(const std::byte* stored, int64_t group, std::byte* out) const {
  const size_t row_size = row_bytes(format_, static_cast<size_t>(shape_.k));
  const int64_t slice = group / groups_, first = group % groups_ * layout_.rows;
  const std::byte* from = stored + static_cast<size_t>(slice * shape_.rows + first) * row_size;
  const int64_t rows = std::min<int64_t>(layout_.rows, shape_.rows - first);
  if (rows < layout_.rows) std::memset(out, 0, group_bytes_);
  if (pieces_of(format_).scale_bytes > 0 && layout_.run == 4) {
    pack_blocks(from, rows, row_size, out);
    return;
  }
  std::memset(out, 0, group_bytes_);
  for (int64_t r = 0; r < rows; ++r) {
    const std::byte* row = from + static_cast<size_t>(r) * row_size;
    for_each_piece(
        r, [&](size_t at, size_t to, size_t bytes, uint8_t flip) { copy_flipped(row + at, bytes, flip, out + to); });
  }
}

// The same for blocks of bytes in runs of four, which is what large weights are: written from front to back.
void Interleaved::pack_blocks(const std::byte* from, int64_t row_count, size_t row_size, std::byte* out) const {
  const FormatInfo& f = info(format_);
  const Pieces pieces = pieces_of(format_);
  const auto rows = static_cast<size_t>(layout_.rows), count = static_cast<size_t>(row_count);
  const size_t blocks = static_cast<size_t>(shape_.k) / f.block_elements, runs = f.block_elements / 4;
  const uint32_t flip = pieces.flip * 0x01010101u;
  for (size_t b = 0; b < blocks; ++b) {
    std::byte* values = out + b * runs * rows * 4;
    for (size_t r = 0; r < count; ++r) {
      const std::byte* block = from + r * row_size + b * f.block_bytes;
      std::memcpy(out + scales_at_ + (b * rows + r) * pieces.scale_bytes, block, pieces.scale_bytes);
      block += pieces.scale_bytes;
      for (size_t i = 0; i < runs; ++i) {
        uint32_t word;
        std::memcpy(&word, block + 4 * i, 4);
        word ^= flip;
        std::memcpy(values + (i * rows + r) * 4, &word, 4);
      }
    }
  }
  const size_t end = scales_at_ + blocks * rows * pieces.scale_bytes;
  std::memset(out + end, 0, group_bytes_ - end);
}

void Interleaved::unpack_row(const std::byte* packed, int64_t row, std::byte* out) const {
  const int64_t in_slice = row % shape_.rows;
  const int64_t group = row / shape_.rows * groups_ + in_slice / layout_.rows;
  const std::byte* from_group = packed + static_cast<size_t>(group) * group_bytes_;
  for_each_piece(in_slice % layout_.rows, [&](size_t to, size_t from, size_t bytes, uint8_t flip) {
    copy_flipped(from_group + from, bytes, flip, out + to);
  });
}

}  // namespace weft

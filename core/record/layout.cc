#include "core/record/layout.h"

#include <algorithm>
#include <cstring>

#include "core/align.h"
#include "core/error.h"

namespace weft {
namespace {

// Bit 4 u + j of the word to bit u of byte j.
uint32_t by_fours(uint32_t bits) {
  uint32_t to = 0;
  for (int i = 0; i < 32; ++i) to |= (bits >> i & 1u) << (i % 4 * 8 + i / 4);
  return to;
}
uint32_t in_order(uint32_t by_fours) {
  uint32_t to = 0;
  for (int i = 0; i < 32; ++i) to |= (by_fours >> (i % 4 * 8 + i / 4) & 1u) << i;
  return to;
}

template <class Change>
void change_word(std::byte* at, const Change& change) {
  uint32_t word;
  std::memcpy(&word, at, 4);
  word = change(word);
  std::memcpy(at, &word, 4);
}

// Most pieces are runs of four bytes.
inline void copy_flipped(const std::byte* from, size_t bytes, uint8_t flip, std::byte* to) {
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
  return !layout.is_stored() && layout.run > 0 && info(format).is_float;
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
  groups_ = align_up(shape.rows, layout.rows) / layout.rows;
  size_t row = static_cast<size_t>(shape.k / f.block_elements) * f.block_bytes;
  if (f.sections.empty()) {
    row = align_up(row, layout.run * f.block_bytes);  // with what fills its last run
  } else {
    chunk_blocks_ = static_cast<size_t>(chunk_blocks(f.sections, f.block_elements, layout));
    const auto before = [&](size_t i, bool leading) {  // of all rows
      return layout.rows * static_cast<size_t>(bytes_before(i, leading, f.sections, layout));
    };
    const size_t all = f.sections.size();
    for (size_t i = 0; i < all; ++i) {
      const BlockSection& section = f.sections[i];
      const size_t section_unit = unit(section, layout);
      if (leads(section, layout)) {
        places_.push_back({section, section_unit, before(i, true), layout.rows * size_t{section.bytes}, 0});
      } else {
        places_.push_back({section, section_unit, before(all, true), before(all, false), before(i, false)});
      }
    }
  }
  group_bytes_ = align_up(row * layout.rows);
}

template <class Copy>
void Interleaved::for_each_piece(int64_t row_in_group, const Copy& copy) const {
  const FormatInfo& f = info(format_);
  const auto rows = static_cast<size_t>(layout_.rows), row = static_cast<size_t>(row_in_group);
  if (f.sections.empty()) {
    const size_t bytes = static_cast<size_t>(shape_.k) * f.block_bytes, unit = layout_.run * f.block_bytes;
    for (size_t from = 0; from < bytes; from += unit) {
      copy(from, from * rows + row * unit, std::min(unit, bytes - from), BlockSection{});
    }
    return;
  }
  const size_t blocks = static_cast<size_t>(shape_.k) / f.block_elements;
  for (const Place& place : places_) {
    const size_t bytes = place.section.bytes, unit = place.unit, step = rows * unit;
    for (size_t b = 0; b < blocks; ++b) {
      const size_t in = b % chunk_blocks_, first = b - in, count = std::min(chunk_blocks_, blocks - first);
      const size_t from = b * f.block_bytes + place.section.at;
      size_t to = first * f.block_bytes * rows + count * place.of_count + in * place.of_block + place.at + row * unit;
      for (size_t i = 0; i < bytes; i += unit, to += step) copy(from + i, to, unit, place.section);
    }
  }
}

size_t Interleaved::stored_at(int64_t group) const {
  // Only the last group of a slice may have fewer rows.
  const int64_t row = group / groups_ * shape_.rows + group % groups_ * layout_.rows;
  return row_bytes(format_, static_cast<size_t>(row * shape_.k));
}

void Interleaved::pack_group(const std::byte* rows, int64_t count, std::byte* out) const {
  const size_t row_size = row_bytes(format_, static_cast<size_t>(shape_.k));
  std::memset(out, 0, group_bytes_);
  for (int64_t r = 0; r < count; ++r) {
    const std::byte* row = rows + static_cast<size_t>(r) * row_size;
    for_each_piece(r, [&](size_t at, size_t to, size_t bytes, const BlockSection& section) {
      copy_flipped(row + at, bytes, section.flip, out + to);
      if (section.by_fours && bytes == 4) change_word(out + to, by_fours);
    });
  }
}

void Interleaved::pack_groups(const std::byte* stored, int64_t first, int64_t count, std::byte* out) const {
  for (int64_t group = first; group < first + count; ++group, out += group_bytes_) {
    const int64_t row = group % groups_ * layout_.rows;
    pack_group(stored + (stored_at(group) - stored_at(first)), std::min<int64_t>(layout_.rows, shape_.rows - row), out);
  }
}

void Interleaved::unpack_row(const std::byte* packed, int64_t row, std::byte* out) const {
  const int64_t in_slice = row % shape_.rows;
  const int64_t group = row / shape_.rows * groups_ + in_slice / layout_.rows;
  const std::byte* from_group = packed + static_cast<size_t>(group) * group_bytes_;
  for_each_piece(in_slice % layout_.rows, [&](size_t to, size_t from, size_t bytes, const BlockSection& section) {
    copy_flipped(from_group + from, bytes, section.flip, out + to);
    if (section.by_fours && bytes == 4) change_word(out + to, in_order);
  });
}

}  // namespace weft

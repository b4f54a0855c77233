// Panels: a part of a group of 16 interleaved rows (core/record/layout.h), decoded for the kernels that multiply it.
// All formats with blocks have them, so that kernels need not know these; Q8_0 alone is read in place.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/format/formats.h"
#include "core/record/layout.h"

namespace weft {

// Bytes q of elements, each of which is scale * q - minimum.
struct BytePanel {
  const uint8_t* values;  // [run of 32][8][16 rows][4], 128 higher than q where is_signed; the group where is_in_place
  const float* scales;    // [run][32 / grain][16 rows]
  const float* minimums;  // the same; what the format does not have is not written
};
struct BytePanelForm {
  int64_t grain;  // elements that share a scale: 16 or 32
  bool is_signed;
  bool has_minimum;
  bool is_in_place;  // the group has it so: nothing is decoded, and a panel has all elements; as run_in_place says
};
BytePanelForm byte_panel_form(Format format);

// Of a group whose format is_in_place: its run `run` of `runs`.
struct RunInPlace {
  const uint8_t* values;   // as BytePanel has them
  const uint16_t* scales;  // f16, [16 rows]
};
inline RunInPlace run_in_place(const uint8_t* group, int64_t run, int64_t runs) {
  using Q8 = FormatTraits<Format::q8_0>;
  constexpr int64_t kRows = kRows16.rows, kChunk = Interleaved::chunk_blocks(Q8::kSections, Q8::kElements, kRows16);
  static_assert(Q8::kSections[0].bytes == 2 && Interleaved::leads(Q8::kSections[0], kRows16));
  static_assert(Q8::kSections[1].bytes == 32 && !Interleaved::leads(Q8::kSections[1], kRows16));
  const int64_t in = run % kChunk, first = run - in, count = runs - first < kChunk ? runs - first : kChunk;
  const uint8_t* chunk = group + first * static_cast<int64_t>(Q8::kBytes) * kRows;
  return {chunk + (count * 2 + in * 32) * kRows, reinterpret_cast<const uint16_t*>(chunk) + in * kRows};
}

inline constexpr int64_t kBytePanelDepth = 512;  // elements of k, at most
inline constexpr size_t kBytePanelBytes = kBytePanelDepth * 16 + 2 * (kBytePanelDepth / 16 * 16 * sizeof(float));

inline constexpr int64_t kBytePanels = 4;  // that a kernel multiplies at a time

// Elements [first, first + depth) of a group whose rows have k elements: whole blocks, at most kBytePanelDepth; all
// where is_in_place. `scratch`: kBytePanelBytes, 64-byte aligned.
BytePanel byte_panel(Format format, const std::byte* group, int64_t k, int64_t first, int64_t depth,
                     std::byte* scratch);

// The same as f32, of rows [row, row + rows), whole vectors of the target: element first + i of row row + r is
// out[i * stride + r].
void float_panel(Format format, const std::byte* group, int64_t k, int64_t first, int64_t depth, int64_t row,
                 int64_t rows, float* out, int64_t stride);

// Products of one left-hand row with the 16 rows of a group, over all k: for these alone, a panel would cost more to
// write and read than to decode.
void float_dots(Format format, const std::byte* group, int64_t k, const float* left, float* out);

}  // namespace weft

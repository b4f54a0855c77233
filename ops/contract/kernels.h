// Vector kernels of contractions. They do not know the records: the right-hand side is a list of rows, each of `k`
// elements of one format lying contiguously (whole blocks of a quantized format), the left-hand side rows of `k`
// floats. All of them choose the best Highway target when they are called; sums are kept in several f32
// accumulators.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/format/format.h"

namespace weft {

using RowPointers = const std::byte* const*;

// --- Few left-hand rows: each right-hand row is read once and nothing is stored but the results.

inline constexpr int kDotRows = 4;  // left-hand rows of one pass

// out[m][j] = sum_i lhs[m][i] * rows[j][i] for j < count, m < lhs_rows (1 to kDotRows).
void dot_rows(Format format, RowPointers rows, int64_t count, const float* const* lhs, int lhs_rows, int64_t k,
              float* const* out);

// --- The same with activations quantized to int8, in runs of 32 with a scale each.

// Up to so many left-hand rows, quantizing them is faster than decoding the right-hand side exactly.
inline constexpr int kInt8Rows = 2;

bool has_int8_kernel(Format format);    // of the rows: those of blocks
size_t quantized_row_bytes(int64_t k);  // of one quantized row; k is a multiple of 32
void quantize_activations(const float* row, int64_t k, std::byte* quantized);
// lhs_rows: 1 to kInt8Rows. A run that holds a NaN or an infinity makes every sum that it enters NaN.
void dot_int8_rows(Format format, RowPointers rows, int64_t count, const std::byte* const* lhs, int lhs_rows, int64_t k,
                   float* const* out);
// The same by Highway's operations alone: dot_int8_rows uses instructions that Highway lacks, where the CPU has them.
void dot_int8_rows_by_highway(Format format, RowPointers rows, int64_t count, const std::byte* const* lhs, int lhs_rows,
                              int64_t k, float* const* out);

// --- Many left-hand rows: these are packed once (for all threads), the right-hand rows are decoded by panels.

inline constexpr int64_t kPanelColumns = 64;  // right-hand rows of a panel
inline constexpr int64_t kPanelDepth = 512;   // elements of k that a panel holds at a time
inline constexpr size_t kPanelBytes = kPanelColumns * kPanelDepth * sizeof(float);

// Left-hand rows of a tile: packed together and held in registers. Depends on the target, at most kMaxRowTile.
int64_t gemm_row_tile();
inline constexpr int64_t kMaxRowTile = 12;

// Packs a tile of `lhs_rows` rows: packed[i * lhs_rows + m] = lhs[m][i].
void gemm_pack(const float* const* lhs, int64_t lhs_rows, int64_t k, float* packed);

// out[m][j] = sum_i lhs[m][i] * rows[j][i] for j < columns (at most kPanelColumns), m < lhs_rows. `packed` holds
// the left-hand rows in tiles of gemm_row_tile() rows (the last may have fewer), each rows-of-tile * k floats, one
// after the other. `panel` is scratch of kPanelBytes, 64-byte aligned. Writes out[m][0 .. kPanelColumns).
void gemm_panel(Format format, RowPointers rows, int64_t columns, const float* packed, int64_t lhs_rows, int64_t k,
                float* panel, float* const* out);

}  // namespace weft

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

// --- Many left-hand rows: these are packed once (for all threads), the right-hand rows are decoded by panels.

inline constexpr int64_t kPanelColumns = 64;  // right-hand rows of a panel
inline constexpr int64_t kPanelDepth = 512;   // elements of k that a panel holds at a time
inline constexpr size_t kPanelBytes = kPanelColumns * kPanelDepth * sizeof(float);

// Left-hand rows of a tile: packed together, and held in registers, all or half of them. The last may have fewer.
inline constexpr int64_t kRowTile = 12;

// Packs a tile of `lhs_rows` rows: packed[i * lhs_rows + m] = lhs[m][i].
void gemm_pack(const float* const* lhs, int64_t lhs_rows, int64_t k, float* packed);

// out[m][j] = sum_i lhs[m][i] * rows[j][i] for j < columns (at most kPanelColumns), m < lhs_rows. `tiles`: left-hand
// rows packed in tiles of kRowTile. `panel` is scratch of kPanelBytes, 64-byte aligned. Writes out[m][0 ..
// kPanelColumns).
void gemm_panel(Format format, RowPointers rows, int64_t columns, const float* const* tiles, int64_t lhs_rows,
                int64_t k, float* panel, float* const* out);

}  // namespace weft

// Many left-hand rows: panels of right-hand rows are decoded once into the order in which the multiply-adds want
// them, and used for all left-hand rows.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "core/align.h"
#include "ops/contract/kernels.h"
#include "ops/contract/products.h"
#include "ops/contract/x16_panels.h"
#include "ops/cpu/decode_tile.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/contract/gemm.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ops/cpu/decode-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

// Accumulators are kRegisterRows * kStrip vectors: 24 of 32 registers, or 12 of 16, beside the strip and one broadcast.
constexpr int64_t kStrip = 2;  // vectors
constexpr int64_t kStripColumns = kStrip * kLanes;
constexpr int64_t kRegisterRows = HWY_TARGET <= HWY_AVX3 ? 12 : 6;
static_assert(kRowTile % kRegisterRows == 0 && kPanelColumns % kStripColumns == 0);

// out[i * stride + r] = rows[r][first + i], for four rows and i < depth.
HWY_INLINE void transpose_4(const float* const* rows, int64_t first, int64_t depth, float* HWY_RESTRICT out,
                            int64_t stride) {
  const hn::CappedTag<float, 4> d4;
  const hn::Repartition<double, decltype(d4)> d2;
  const float* HWY_RESTRICT from[4] = {rows[0] + first, rows[1] + first, rows[2] + first, rows[3] + first};
  int64_t i = 0;
  for (; i + 4 <= depth; i += 4) {
    const auto r0 = hn::LoadU(d4, from[0] + i);
    const auto r1 = hn::LoadU(d4, from[1] + i);
    const auto r2 = hn::LoadU(d4, from[2] + i);
    const auto r3 = hn::LoadU(d4, from[3] + i);
    const auto a = hn::BitCast(d2, hn::InterleaveLower(d4, r0, r1));  // r0[0] r1[0] r0[1] r1[1]
    const auto b = hn::BitCast(d2, hn::InterleaveLower(d4, r2, r3));
    const auto c = hn::BitCast(d2, hn::InterleaveUpper(d4, r0, r1));  // r0[2] r1[2] r0[3] r1[3]
    const auto e = hn::BitCast(d2, hn::InterleaveUpper(d4, r2, r3));
    float* to = out + i * stride;
    hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, a, b)), d4, to);
    hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, a, b)), d4, to + stride);
    hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, c, e)), d4, to + 2 * stride);
    hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, c, e)), d4, to + 3 * stride);
  }
  for (; i < depth; ++i) {
    for (int64_t r = 0; r < 4; ++r) out[i * stride + r] = from[r][i];
  }
}

void pack(const float* const* lhs, int64_t lhs_rows, int64_t k, float* packed) {
  for (int64_t i0 = 0; i0 < k; i0 += 64) {  // 64 floats of each row at a time: reads lines whole, writes near
    const int64_t depth = std::min<int64_t>(k - i0, 64);
    float* to = packed + i0 * lhs_rows;
    int64_t m = 0;
    for (; m + 4 <= lhs_rows; m += 4) transpose_4(lhs + m, i0, depth, to + m, lhs_rows);
    for (; m < lhs_rows; ++m) {
      for (int64_t i = 0; i < depth; ++i) to[i * lhs_rows + m] = lhs[m][i0 + i];
    }
  }
}

// One strip of columns against kRows of the `stride` left-hand rows of a tile, over `depth` elements of k.
template <int64_t kRows>
HWY_INLINE void micro(const float* HWY_RESTRICT packed, int64_t stride, const float* HWY_RESTRICT strip, int64_t depth,
                      float* const* out, int64_t j, bool add) {
  const DF df;
  VF sum[kRows][kStrip];
  WEFT_UNROLL
  for (int64_t m = 0; m < kRows; ++m) {
    WEFT_UNROLL
    for (int64_t v = 0; v < kStrip; ++v) sum[m][v] = hn::Zero(df);
  }
  for (int64_t i = 0; i < depth; ++i) {
    VF right[kStrip];
    WEFT_UNROLL
    for (int64_t v = 0; v < kStrip; ++v) right[v] = hn::Load(df, strip + v * kLanes);
    WEFT_UNROLL
    for (int64_t m = 0; m < kRows; ++m) {
      const VF left = hn::Set(df, packed[m]);
      WEFT_UNROLL
      for (int64_t v = 0; v < kStrip; ++v) sum[m][v] = hn::MulAdd(left, right[v], sum[m][v]);
    }
    packed += stride;
    strip += kStripColumns;
  }
  WEFT_UNROLL
  for (int64_t m = 0; m < kRows; ++m) {
    float* to = out[m] + j;
    WEFT_UNROLL
    for (int64_t v = 0; v < kStrip; ++v) {
      VF total = sum[m][v];
      if (add) total = hn::Add(total, hn::LoadU(df, to + v * kLanes));
      hn::StoreU(total, df, to + v * kLanes);
    }
  }
}

template <int64_t kRows>
HWY_NOINLINE void tile(const float* packed, int64_t stride, const float* panel, int64_t depth, int64_t columns,
                       float* const* out, int64_t column, bool add) {
  for (int64_t j = 0; j < columns; j += kStripColumns) {
    micro<kRows>(packed, stride, panel + j * depth, depth, out, column + j, add);
  }
}

void tile_rows(int64_t rows, const float* packed, int64_t stride, const float* panel, int64_t depth, int64_t columns,
               float* const* out, int64_t column, bool add) {
  switch (rows) {
    case 1: return tile<1>(packed, stride, panel, depth, columns, out, column, add);
    case 2: return tile<2>(packed, stride, panel, depth, columns, out, column, add);
    case 3: return tile<3>(packed, stride, panel, depth, columns, out, column, add);
    case 4: return tile<4>(packed, stride, panel, depth, columns, out, column, add);
    case 5: return tile<5>(packed, stride, panel, depth, columns, out, column, add);
    case 6: return tile<6>(packed, stride, panel, depth, columns, out, column, add);
#if HWY_TARGET <= HWY_AVX3
    case 7: return tile<7>(packed, stride, panel, depth, columns, out, column, add);
    case 8: return tile<8>(packed, stride, panel, depth, columns, out, column, add);
    case 9: return tile<9>(packed, stride, panel, depth, columns, out, column, add);
    case 10: return tile<10>(packed, stride, panel, depth, columns, out, column, add);
    case 11: return tile<11>(packed, stride, panel, depth, columns, out, column, add);
    case 12: return tile<12>(packed, stride, panel, depth, columns, out, column, add);
#endif
    default: return;
  }
}

HWY_INLINE void fill_panel(Format format, RowPointers rows, int64_t columns, int64_t first, int64_t depth,
                           float* panel) {
  HWY_ALIGN float decoded[4 * kPanelDepth];
  const int64_t padded = (columns + kStripColumns - 1) / kStripColumns * kStripColumns;
  for (int64_t j = 0; j < padded; j += 4) {
    const float* four[4];
    for (int64_t r = 0; r < 4; ++r) {
      float* to = decoded + r * kPanelDepth;
      four[r] = to;
      if (j + r >= columns) {
        std::memset(to, 0, static_cast<size_t>(depth) * sizeof(float));
      } else if (format == Format::f32) {
        four[r] = reinterpret_cast<const float*>(rows[j + r]) + first;
      } else {
        decode_elements(format, rows[j + r], first, depth, to);
      }
    }
    const int64_t strip = j / kStripColumns * kStripColumns;
    transpose_4(four, 0, depth, panel + strip * depth + j - strip, kStripColumns);
  }
}

// The panel of interleaved rows.
HWY_INLINE void fill_panel_x16(Format format, RowPointers groups, int64_t columns, int64_t first, int64_t depth,
                               int64_t k, float* panel) {
  const DF df;
  for (int64_t j = 0; j < align_up(columns, kStripColumns); j += kLanes) {
    float* to = panel + j / kStripColumns * kStripColumns * depth + j % kStripColumns;
    if (j < columns) {
      float_panel(format, groups[j / kRows16.rows], k, first, depth, j % kRows16.rows, kLanes, to, kStripColumns);
    } else {
      for (int64_t i = 0; i < depth; ++i) hn::StoreU(hn::Zero(df), df, to + i * kStripColumns);
    }
  }
}

template <class Fill>
HWY_INLINE void multiply_filled(const Fill& fill, int64_t columns, const float* const* tiles, int64_t lhs_rows,
                                int64_t k, float* panel, float* const* out, int64_t column) {
  int64_t first = 0;
  do {  // once for k = 0: the sums are 0
    const int64_t depth = std::min(kPanelDepth, k - first);
    fill(first, depth);
    for (int64_t m = 0; m < lhs_rows; m += kRowTile) {
      const int64_t stride = std::min(kRowTile, lhs_rows - m);
      const float* tile_at = tiles[m / kRowTile] + first * stride;
      for (int64_t r = 0; r < stride; r += kRegisterRows) {
        tile_rows(std::min(kRegisterRows, stride - r), tile_at + r, stride, panel, depth, columns, out + m + r, column,
                  first > 0);
      }
    }
    first += depth;
  } while (first < k);
}

void multiply(Format format, RowPointers rows, int64_t columns, const float* const* tiles, int64_t lhs_rows, int64_t k,
              float* panel, float* const* out, int64_t column) {
  const auto fill = [&](int64_t first, int64_t depth)
                        HWY_ATTR { fill_panel(format, rows, columns, first, depth, panel); };
  multiply_filled(fill, columns, tiles, lhs_rows, k, panel, out, column);
}

void multiply_x16(Format format, RowPointers groups, int64_t columns, const float* const* tiles, int64_t lhs_rows,
                  int64_t k, float* panel, float* const* out, int64_t column) {
  const auto fill = [&](int64_t first, int64_t depth)
                        HWY_ATTR { fill_panel_x16(format, groups, columns, first, depth, k, panel); };
  multiply_filled(fill, columns, tiles, lhs_rows, k, panel, out, column);
}

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {
HWY_EXPORT(pack);
HWY_EXPORT(multiply);
HWY_EXPORT(multiply_x16);

void gemm_pack(const float* const* lhs, int64_t lhs_rows, int64_t k, float* packed) {
  HWY_DYNAMIC_DISPATCH(pack)(lhs, lhs_rows, k, packed);
}

void gemm_panel(Format format, RowPointers rows, int64_t columns, const float* const* tiles, int64_t lhs_rows,
                int64_t k, float* panel, float* const* out) {
  HWY_DYNAMIC_DISPATCH(multiply)(format, rows, columns, tiles, lhs_rows, k, panel, out, 0);
}

namespace {
constexpr const char* kName = "f32-panels";
constexpr const char* kX16Name = "f32-x16-panels";
// From so many rows on, decoding a panel once for all of them pays off.
constexpr int64_t kPanelRows = 24;

// `group`: right-hand rows that one address stands for.
template <class Multiply>
void multiply_panels(const ProductArgs& args, int64_t group, const Multiply& multiply) {
  auto* panel = reinterpret_cast<float*>(args.scratch);
  const auto* tiles = reinterpret_cast<const float* const*>(args.left);
  for (int64_t j = 0; j < args.columns; j += kPanelColumns) {
    multiply(args.format, args.right + j / group, std::min(kPanelColumns, args.columns - j), tiles, args.rows, args.k,
             panel, args.out, j);
  }
}

const char* run_f32_panels(const ProductArgs& args) {
  multiply_panels(args, 1, [](auto... each) { HWY_DYNAMIC_DISPATCH(multiply)(each...); });
  return kName;
}

const char* run_f32_x16_panels(const ProductArgs& args) {
  multiply_panels(args, kRows16.rows, [](auto... each) { HWY_DYNAMIC_DISPATCH(multiply_x16)(each...); });
  return kX16Name;
}

void add_panels(KernelTable& table, ProductKernel row, const char* name, const char* (*run)(const ProductArgs&)) {
  row.name = name;
  row.first_rows = kPanelRows;
  row.scratch_bytes = kPanelBytes;
  row.preference = 10;
  row.run = run;
  table.add(std::move(row));
}
}  // namespace

void add_f32_panels(KernelTable& table) {
  ProductKernel row;
  row.formats.assign(std::begin(kFloatFormats), std::end(kFloatFormats));
  row.activations = {ActivationElement::floats, kRowTile};
  add_panels(table, std::move(row), kName, run_f32_panels);
}

void add_f32_x16_panels(KernelTable& table) {
  add_panels(table, x16_row(ActivationElement::floats), kX16Name, run_f32_x16_panels);
}

}  // namespace weft
#endif

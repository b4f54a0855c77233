// Products of activations and weights rounded to bf16, summed in f32 by AMX tiles, for which Highway has no operations:
// a target on top of Highway's AVX-512. Panels of right-hand rows, as stored or interleaved, are decoded to bf16 once
// for all left-hand rows.
//
// A tile register holds 16 rows of 64 bytes. One instruction adds, to 16 x 16 sums, the products of 16 left-hand rows
// of 32 elements with 16 outputs, whose elements lie in pairs: [16 pairs][16 outputs][2]. Four such sums,
// two by two, share their operands.
#include <cstring>
#include <utility>

#include "ops/contract/activations.h"
#include "ops/contract/kernels.h"
#include "ops/contract/products.h"
#include "ops/cpu/cpu_target.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/contract/bf16_amx.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ops/contract/x16-inl.h"

#ifndef WEFT_CONTRACT_BF16_AMX
#define WEFT_CONTRACT_BF16_AMX
namespace weft {
// From so many left-hand rows on, decoding right-hand ones pays off.
constexpr int64_t kAmxFirstRows = 48;
// The same for elements that are nearly bf16 as they are.
constexpr int64_t kAmxFirstDenseRows = 5;
constexpr int64_t kAmxRows = 16;            // of a tile register
constexpr int64_t kAmxElements = 32;        // of a row of it
constexpr int64_t kAmxGroups = 8;           // of 16 outputs, decoded at a time
constexpr int64_t kAmxDepth = 512;          // elements of k, decoded at a time
constexpr int64_t kAmxTile = 2 * kAmxRows;  // left-hand rows of a tile
constexpr int64_t kAmxSums = kAmxRows * kAmxRows;
constexpr size_t kAmxPanelBytes = kAmxGroups * kAmxDepth * kRows16.rows * 2;
constexpr size_t kAmxScratch = kAmxPanelBytes + 4 * kAmxSums * sizeof(float);
}  // namespace weft
#endif

#if HWY_ARCH_X86_64 && HWY_TARGET == HWY_AVX3

HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512bf16,amx-tile,amx-bf16")
namespace weft {
namespace HWY_NAMESPACE {

// Two vectors of f32, elements i and i + 1 of 16 outputs, as pairs of bf16.
HWY_INLINE __m512i pairs_of(VF first, VF second) {
  alignas(64) static constexpr uint16_t kTurns[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const auto halves = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second.raw, first.raw));
  return _mm512_permutexvar_epi16(_mm512_load_si512(kTurns), halves);
}

// Elements [first, first + depth) of a group: panel[depth / 2][16][2].
template <Format kFormat>
void pairs_of_group(const std::byte* group, int64_t k, int64_t first, int64_t depth, uint8_t* panel) {
  using Q = Quants<kFormat>;
  for (int64_t b = 0; b < depth / Q::kElements; ++b) {
    const BlockOfRows<kFormat> rows(group, k / Q::kElements, first / Q::kElements + b, 0);
    VF scale[kScalesOf<kFormat>], minimum[kScalesOf<kFormat>];
    Q::scales_of_rows(rows, scale, minimum);
    WEFT_UNROLL
    for (int64_t run = 0; run < Q::kElements / kRun; ++run) {
      WEFT_UNROLL
      for (int64_t unit = 0; unit < kRun / kGroupRun; ++unit) {
        const int64_t element = run * kRun + unit * kGroupRun;
        const VBytes bytes = Q::get(RunOfRows<kFormat>{rows, unit}, run);
        const auto value = [&](int64_t j)
                               HWY_ATTR { return float_of<kFormat>(bytes, j, scale, minimum, element / Q::kGrain); };
        uint8_t* to = panel + (b * Q::kElements + element) / 2 * 64;
        _mm512_store_si512(to, pairs_of(value(0), value(1)));
        _mm512_store_si512(to + 64, pairs_of(value(2), value(3)));
      }
    }
  }
}

// 16 vectors of pairs, a row each, to vectors of 16 rows, a pair each: out[pair][row] = rows[row][pair].
HWY_INLINE void turn_16_by_16(__m512i* rows, uint8_t* out) {
  __m512i by_2[16], by_4[16];
  WEFT_UNROLL
  for (int i = 0; i < 16; i += 2) {
    by_2[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    by_2[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  // by_4[i + p]: pair p of each quarter, of rows i to i + 3.
  WEFT_UNROLL
  for (int i = 0; i < 16; i += 4) {
    by_4[i] = _mm512_unpacklo_epi64(by_2[i], by_2[i + 2]);
    by_4[i + 1] = _mm512_unpackhi_epi64(by_2[i], by_2[i + 2]);
    by_4[i + 2] = _mm512_unpacklo_epi64(by_2[i + 1], by_2[i + 3]);
    by_4[i + 3] = _mm512_unpackhi_epi64(by_2[i + 1], by_2[i + 3]);
  }
  WEFT_UNROLL
  for (int p = 0; p < 4; ++p) {
    // Quarters 0 and 2, and 1 and 3, of rows 0 to 7, and of rows 8 to 15.
    const __m512i even_low = _mm512_shuffle_i32x4(by_4[p], by_4[4 + p], 0x88);
    const __m512i odd_low = _mm512_shuffle_i32x4(by_4[p], by_4[4 + p], 0xdd);
    const __m512i even_high = _mm512_shuffle_i32x4(by_4[8 + p], by_4[12 + p], 0x88);
    const __m512i odd_high = _mm512_shuffle_i32x4(by_4[8 + p], by_4[12 + p], 0xdd);
    _mm512_store_si512(out + p * 64, _mm512_shuffle_i32x4(even_low, even_high, 0x88));
    _mm512_store_si512(out + (4 + p) * 64, _mm512_shuffle_i32x4(odd_low, odd_high, 0x88));
    _mm512_store_si512(out + (8 + p) * 64, _mm512_shuffle_i32x4(even_low, even_high, 0xdd));
    _mm512_store_si512(out + (12 + p) * 64, _mm512_shuffle_i32x4(odd_low, odd_high, 0xdd));
  }
}

// Elements [first, first + depth) of up to 16 stored rows, in a panel of the same form, with zeros for other rows and
// up to whole steps.
template <Format kFormat>
void pairs_of_rows(RowPointers rows, int64_t count, int64_t first, int64_t depth, uint8_t* panel) {
  static_assert(kFormat == Format::bf16 || kFormat == Format::f16);
  for (int64_t i = 0; i < depth; i += kAmxElements, panel += kAmxElements / 2 * 64) {
    const int64_t here = HWY_MIN(kAmxElements, depth - i);
    const auto some = static_cast<__mmask32>((uint64_t{1} << here) - 1);
    __m512i pairs[16];
    WEFT_UNROLL
    for (int64_t r = 0; r < kGroupRows; ++r) {
      const __mmask32 mask = r < count ? some : 0;
      const auto* from = reinterpret_cast<const uint16_t*>(r < count ? rows[r] : rows[0]) + first + i;
      pairs[r] = _mm512_maskz_loadu_epi16(mask, from);
      if (kFormat == Format::f16) {
        const __m512 low = _mm512_cvtph_ps(_mm512_castsi512_si256(pairs[r]));
        const __m512 high = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(pairs[r], 1));
        pairs[r] = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
      }
    }
    turn_16_by_16(pairs, panel);
  }
}

struct alignas(64) TileShapes {
  uint8_t palette = 1, first_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

// Registers 0 to 3: sums, of the first and the second left-hand rows, with the first and the second outputs; 4, 5:
// left-hand rows; 6, 7: right-hand ones.
HWY_INLINE void set_shapes(int64_t rows) {
  TileShapes shapes;
  const auto set = [&](int i, int64_t of) {
    shapes.row_bytes[i] = of > 0 ? 64 : 0;
    shapes.rows[i] = static_cast<uint8_t>(of);
  };
  const int64_t second = HWY_MAX(rows - kAmxRows, 0), first = rows - second;
  for (const int i : {0, 1, 4}) set(i, first);
  for (const int i : {2, 3, 5}) set(i, second);
  for (const int i : {6, 7}) set(i, kAmxRows);
  // g++ 12 takes _tile_loadconfig's operand for 8 bytes.
  asm volatile("ldtilecfg %0" : : "m"(shapes));
}

// Where sums lie: rows of 64 bytes.
struct SumsAt {
  float* at;
  int64_t row_bytes;
};

// Left-hand rows pass by, and are not to drive the right-hand ones out of the first cache: they are loaded as a stream.
// `steps` of 32 elements. `left`: [step][rows][32]; `right`: [step][16][32], of two groups that lie `apart`.
template <bool kTwoRows, bool kTwoGroups>
HWY_NOINLINE void amx_tile(const uint8_t* left, int64_t left_rows, const uint8_t* right, int64_t apart, int64_t steps,
                           bool add, const SumsAt* sums) {
  if (add) {
    _tile_loadd(0, sums[0].at, sums[0].row_bytes);
    if (kTwoGroups) _tile_loadd(1, sums[1].at, sums[1].row_bytes);
    if (kTwoRows) _tile_loadd(2, sums[2].at, sums[2].row_bytes);
    if (kTwoRows && kTwoGroups) _tile_loadd(3, sums[3].at, sums[3].row_bytes);
  } else {
    _tile_zero(0);
    if (kTwoGroups) _tile_zero(1);
    if (kTwoRows) _tile_zero(2);
    if (kTwoRows && kTwoGroups) _tile_zero(3);
  }
  for (int64_t s = 0; s < steps; ++s, left += left_rows * 64, right += 1024) {
    _tile_stream_loadd(4, left, 64);
    _tile_loadd(6, right, 64);
    _tile_dpbf16ps(0, 4, 6);
    if (kTwoGroups) {
      _tile_loadd(7, right + apart, 64);
      _tile_dpbf16ps(1, 4, 7);
    }
    if (kTwoRows) {
      _tile_stream_loadd(5, left + 1024, 64);
      _tile_dpbf16ps(2, 5, 6);
    }
    if (kTwoRows && kTwoGroups) _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums[0].at, sums[0].row_bytes);
  if (kTwoGroups) _tile_stored(1, sums[1].at, sums[1].row_bytes);
  if (kTwoRows) _tile_stored(2, sums[2].at, sums[2].row_bytes);
  if (kTwoRows && kTwoGroups) _tile_stored(3, sums[3].at, sums[3].row_bytes);
}

// Rows that lie equally far apart hold their sums themselves; others by way of `own`.
class TileSums {
 public:
  TileSums(float* const* out, int64_t rows, float* own) : out_(out), rows_(rows), own_(own) {
    apart_ = rows > 1 ? out[1] - out[0] : kAmxRows;
    for (int64_t m = 1; m < rows; ++m) in_place_ = in_place_ && out[m] - out[m - 1] == apart_;
  }
  SumsAt at(int64_t row, int64_t group, int64_t column) const {
    if (in_place_) return {out_[row] + column, apart_ * int64_t{sizeof(float)}};
    return {own_ + (row / kAmxRows * 2 + group) * kAmxSums, 64};
  }
  void load(int64_t groups, int64_t column) const {
    copy(groups, column, [](float* out, float* own) { std::memcpy(own, out, 64); });
  }
  void store(int64_t groups, int64_t column) const {
    copy(groups, column, [](float* out, float* own) { std::memcpy(out, own, 64); });
  }

 private:
  template <class Copy>
  void copy(int64_t groups, int64_t column, const Copy& copy) const {
    if (in_place_) return;
    for (int64_t m = 0; m < rows_; ++m) {
      for (int64_t g = 0; g < groups; ++g) {
        const SumsAt sums = at(m / kAmxRows * kAmxRows, g, column);
        copy(out_[m] + column + g * kAmxRows, sums.at + m % kAmxRows * kAmxRows);
      }
    }
  }

  float* const* out_;
  int64_t rows_;
  float* own_;
  int64_t apart_;
  bool in_place_ = true;
};

// fill(group, first, depth, panel)
template <class Fill>
HWY_INLINE void amx_products(const ProductArgs& args, const Fill& fill) {
  auto* panel = reinterpret_cast<uint8_t*>(args.scratch);
  auto* own = reinterpret_cast<float*>(args.scratch + kAmxPanelBytes);
  int64_t shaped = 0;
  for (int64_t column = 0; column < args.columns; column += kAmxGroups * kGroupRows) {
    const int64_t groups = HWY_MIN(kAmxGroups, (args.columns - column + kGroupRows - 1) / kGroupRows);
    int64_t first = 0;
    do {  // once for k = 0: the sums are 0
      const int64_t depth = HWY_MIN(kAmxDepth, args.k - first);
      const int64_t steps = (depth + kAmxElements - 1) / kAmxElements, apart = steps * kAmxElements * kGroupRows * 2;
      for (int64_t g = 0; g < groups; ++g) {
        fill(column / kGroupRows + g, first, depth, panel + g * apart);
      }
      // Two groups stay in the first cache while all left-hand rows pass by.
      for (int64_t g = 0; g < groups; g += 2) {
        for (int64_t r = 0; r < args.rows; r += kAmxTile) {
          const int64_t rows = HWY_MIN(kAmxTile, args.rows - r);
          if (rows != shaped) set_shapes(shaped = rows);
          const auto* left = reinterpret_cast<const uint8_t*>(args.left[r / kAmxTile]) + first * rows * 2;
          const TileSums sums(args.out + r, rows, own);
          const int64_t at = column + g * kGroupRows, two = HWY_MIN(groups - g, 2);
          const SumsAt to[4] = {sums.at(0, 0, at), sums.at(0, 1, at + kGroupRows),
                                rows > kAmxRows ? sums.at(kAmxRows, 0, at) : SumsAt{},
                                rows > kAmxRows ? sums.at(kAmxRows, 1, at + kGroupRows) : SumsAt{}};
          if (first > 0) sums.load(two, at);
          // Tile instructions do not tell the compiler what memory they read and write.
          asm volatile("" : : : "memory");
          const auto run = [&](auto* tile) { tile(left, rows, panel + g * apart, apart, steps, first > 0, to); };
          if (rows > kAmxRows) run(two == 2 ? amx_tile<true, true> : amx_tile<true, false>);
          else run(two == 2 ? amx_tile<false, true> : amx_tile<false, false>);
          asm volatile("" : : : "memory");
          sums.store(two, at);
        }
      }
      first += depth;
    } while (first < args.k);
  }
  _tile_release();
}

void amx_products_of_groups(const ProductArgs& args) {
  const auto of = visit_block_format(args.format, []<Format kFormat>() { return &pairs_of_group<kFormat>; });
  amx_products(args, [&](int64_t group, int64_t first, int64_t depth, uint8_t* panel) {
    of(args.right[group], args.k, first, depth, panel);
  });
}

void amx_products_of_rows(const ProductArgs& args) {
  const auto of = args.format == Format::bf16 ? &pairs_of_rows<Format::bf16> : &pairs_of_rows<Format::f16>;
  amx_products(args, [&](int64_t group, int64_t first, int64_t depth, uint8_t* panel) {
    const int64_t row = group * kGroupRows;
    of(args.right + row, HWY_MIN(kGroupRows, args.columns - row), first, depth, panel);
  });
}

}  // namespace HWY_NAMESPACE

void bf16_x16_products_by_amx(const ProductArgs& args) { HWY_NAMESPACE::amx_products_of_groups(args); }
void bf16_products_by_amx(const ProductArgs& args) { HWY_NAMESPACE::amx_products_of_rows(args); }

}  // namespace weft
HWY_POP_ATTRIBUTES

#endif

#if HWY_ONCE
namespace weft {

#if HWY_ARCH_X86_64 && (HWY_TARGETS & HWY_AVX3)

namespace {
constexpr const char* kName = "bf16-amx";
constexpr const char* kX16Name = "bf16-x16-amx";

const char* run_bf16_amx(const ProductArgs& args) {
  bf16_products_by_amx(args);
  return kName;
}

const char* run_bf16_x16_amx(const ProductArgs& args) {
  bf16_x16_products_by_amx(args);
  return kX16Name;
}

void add_amx(KernelTable& table, ProductKernel row) {
  row.activations.tile = kAmxTile;
  row.preference = 40;
  row.features = "amx_bf16, avx512_bf16";
  row.available = has_amx_bf16;
  row.scratch_bytes = kAmxScratch;
  table.add(std::move(row));
}
}  // namespace

void add_bf16_amx(KernelTable& table) {
  ProductKernel row;
  row.name = kName;
  row.formats = {Format::f16, Format::bf16};
  row.activations.element = ActivationElement::bf16;
  row.first_rows = kAmxFirstDenseRows;
  row.run = run_bf16_amx;
  add_amx(table, std::move(row));
}

void add_bf16_x16_amx(KernelTable& table) {
  ProductKernel row = x16_row(ActivationElement::bf16);
  row.name = kX16Name;
  row.first_rows = kAmxFirstRows;
  row.run = run_bf16_x16_amx;
  add_amx(table, std::move(row));
}

#else

void add_bf16_amx(KernelTable&) {}
void add_bf16_x16_amx(KernelTable&) {}

#endif

}  // namespace weft
#endif

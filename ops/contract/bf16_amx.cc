// Products of activations and weights rounded to bf16, summed in f32 by AMX tiles, for which Highway has no operations:
// a target on top of Highway's AVX-512. Panels of right-hand rows, as stored or interleaved, are decoded to bf16 once
// for all left-hand rows, each while the tiles multiply the one before it.
//
// A tile register holds 16 rows of 64 bytes. One instruction adds, to 16 x 16 sums, the products of 16 left-hand rows
// of 32 elements with 16 outputs, whose elements lie in pairs: [16 pairs][16 outputs][2]. Four such sums,
// two by two, share their operands.
#include <cstring>
#include <new>
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
#include "ops/cpu/amx-inl.h"

#ifndef WEFT_CONTRACT_BF16_AMX
#define WEFT_CONTRACT_BF16_AMX
namespace weft {
// From so many left-hand rows on, decoding right-hand ones pays off.
constexpr int64_t kAmxFirstRows = 32;
// The same for elements that are nearly bf16 as they are.
constexpr int64_t kAmxFirstDenseRows = 5;
constexpr int64_t kAmxRows = 16;      // of a tile register
constexpr int64_t kAmxElements = 32;  // of a row of it
constexpr int64_t kAmxDepth = 512;    // elements of k, decoded at a time: a panel of them stays in the first cache
constexpr int64_t kAmxTile = 2 * kAmxRows;  // left-hand rows of a tile, and outputs of a panel
constexpr int64_t kAmxSums = kAmxTile * kAmxTile;
// What one pass over the right-hand rows serves: sums of so many rows and outputs stay in the second cache.
constexpr int64_t kAmxMostRows = 576, kAmxMostOutputs = 256;
constexpr int64_t kAmxFewRows = 64;
constexpr size_t kAmxPanelBytes = kAmxDepth * kAmxTile * 2;
constexpr size_t kAmxScratch = 2 * kAmxPanelBytes + kAmxMostRows * kAmxMostOutputs * sizeof(float);
}  // namespace weft
#endif

#if HWY_ARCH_X86_64 && HWY_TARGET == HWY_AVX3

// What is inlined in functions of Highway's own target has that target too.
HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

// The same as ShiftedBits of a shift that is not known when this is compiled: decoding that is spread over other work
// has no loop to be unrolled. Bits that a shift would drop, or take from another byte, are not in the mask.
struct TurnedBits {
  static HWY_INLINE VBytes of(VBytes bytes, int64_t n, uint8_t mask) {
    const VBytes turned{_mm512_rolv_epi32(bytes.raw, _mm512_set1_epi32(static_cast<int>(n)))};
    return hn::And(turned, hn::Set(DBytes(), mask));
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512bf16,amx-tile,amx-bf16")
namespace weft {
namespace HWY_NAMESPACE {

// Two vectors of f32, elements i and i + 1 of 16 outputs, as pairs of bf16.
HWY_INLINE __m512i pairs_of(VF first, VF second) {
  return pairs_of_halves(reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second.raw, first.raw)));
}

// Decodes a panel, a few elements of 16 right-hand rows at a time: panel[2 groups][depth / 2][16][2]. Larger pieces
// would not fit in the window of instructions between which the processor finds those for the tiles.
struct Panel {
  const ProductArgs* args;
  int64_t unit;  // elements that are decoded at a time
  void (*decode)(Panel& panel, int64_t units);
  int64_t group = 0, first = 0, depth = 0;  // the first of up to two groups, and elements of k
  uint8_t* panel = nullptr;
  // What comes next.
  uint8_t* to = nullptr;
  int64_t at_group = 0, element = 0, left = 0;
  // Of the block that is being decoded: its sections, and by grain what an element is made of (decode_units).
  std::byte block[64];
  alignas(64) float scale[16 * kGroupRows], minimum[16 * kGroupRows];

  int64_t groups() const { return HWY_MIN(2, (args->columns + kGroupRows - 1) / kGroupRows - group); }
  int64_t steps() const { return (depth + kAmxElements - 1) / kAmxElements; }
  int64_t group_bytes() const { return steps() * kAmxElements * kGroupRows * 2; }
  void begin(int64_t new_group, int64_t new_first, uint8_t* into) {
    group = at_group = new_group;
    first = new_first;
    depth = HWY_MIN(kAmxDepth, args->k - first);
    panel = to = into;
    element = 0;
    left = groups() * steps() * (kAmxElements / unit);
  }
  // unit_at(element, to) writes a unit.
  template <class Unit>
  HWY_INLINE void decode_next(int64_t units, const Unit& unit_at) {
    const int64_t end = steps() * kAmxElements;
    int64_t i = element;
    uint8_t* out = to;
    left -= units;
    for (; units > 0; --units) {
      unit_at(i, out);
      out += unit * kGroupRows * 2;
      i += unit;
      if (i == end) {
        i = 0;
        ++at_group;
      }
    }
    element = i;
    to = out;
  }
};

// Bytes become the top eight bits of a mantissa, the first of them turned over: f = 1 + (q + 128) / 256, so that
// scale * q - minimum is (256 * scale) * f - (384 * scale + minimum), whose last bits are far below those of bf16.
HWY_INLINE VF mantissa_of(VBytes bytes, int64_t j) {
  const VWords words = hn::BitCast(DWords(), bytes);
  const VWords placed = j == 0   ? hn::ShiftLeft<15>(words)
                        : j == 1 ? hn::ShiftLeft<7>(words)
                        : j == 2 ? hn::ShiftRight<1>(words)
                                 : hn::ShiftRight<9>(words);
  // (placed & mask) ^ one
  return VF{_mm512_castsi512_ps(
      _mm512_ternarylogic_epi32(placed.raw, _mm512_set1_epi32(0x007f8000), _mm512_set1_epi32(0x3fc00000), 0x6a))};
}

template <Format kFormat>
void decode_units(Panel& panel, int64_t units) {
  using Q = Quants<kFormat>;
  const DF df;
  auto* block = reinterpret_cast<BlockOfRows<kFormat>*>(panel.block);
  static_assert(sizeof(*block) <= sizeof panel.block);
  const auto begin_block = [&](int64_t element) {
    new (block) BlockOfRows<kFormat>(panel.args->right[panel.at_group], panel.args->k / Q::kElements,
                                     (panel.first + element) / Q::kElements, 0);
    VF scale[kScalesOf<kFormat>], minimum[kScalesOf<kFormat>];
    Q::scales_of_rows(*block, scale, minimum);
    WEFT_UNROLL
    for (int64_t i = 0; i < kScalesOf<kFormat>; ++i) {
      const VF least = Q::kMinimum ? minimum[i] : hn::Zero(df);
      hn::Store(hn::Mul(scale[i], hn::Set(df, 256.0f)), df, panel.scale + i * kGroupRows);
      hn::Store(hn::MulAdd(scale[i], hn::Set(df, 384.0f), least), df, panel.minimum + i * kGroupRows);
    }
  };
  panel.decode_next(units, [&](int64_t element, uint8_t* to) {
    const int64_t in_block = element % Q::kElements;
    if (in_block == 0) begin_block(element);
    const VBytes bytes = Q::get(RunOfRows<kFormat, TurnedBits>{*block, in_block % kRun / kGroupRun}, in_block / kRun);
    const VF scale = hn::Load(df, panel.scale + in_block / Q::kGrain * kGroupRows);
    const VF minimum = hn::Load(df, panel.minimum + in_block / Q::kGrain * kGroupRows);
    const auto value = [&](int64_t j) { return hn::MulSub(mantissa_of(bytes, j), scale, minimum); };
    _mm512_store_si512(to, pairs_of(value(0), value(1)));
    _mm512_store_si512(to + 64, pairs_of(value(2), value(3)));
  });
}

// The same of stored rows, with zeros for rows that there are not and up to the end of a step.
template <Format kFormat>
void decode_stored_units(Panel& panel, int64_t units) {
  static_assert(kFormat == Format::bf16 || kFormat == Format::f16);
  panel.decode_next(units, [&](int64_t element, uint8_t* to) {
    const int64_t row = panel.at_group * kGroupRows, count = panel.args->columns - row;
    const std::byte* const* right = panel.args->right + row;
    const int64_t here = HWY_MIN(kAmxElements, panel.depth - element);
    const auto some = static_cast<__mmask32>((uint64_t{1} << here) - 1);
    __m512i pairs[16];
    WEFT_UNROLL
    for (int64_t r = 0; r < kGroupRows; ++r) {
      const auto* from = reinterpret_cast<const uint16_t*>(right[r < count ? r : 0]) + panel.first + element;
      pairs[r] = _mm512_maskz_loadu_epi16(r < count ? some : 0, from);
      if (kFormat == Format::f16) {
        const __m512 low = _mm512_cvtph_ps(_mm512_castsi512_si256(pairs[r]));
        const __m512 high = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(pairs[r], 1));
        pairs[r] = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
      }
    }
    turn_16_by_16(pairs, to, 64);
  });
}

// Registers 0 to 3: sums, of the first and the second left-hand rows, with the first and the second outputs; 4, 5:
// left-hand rows; 6, 7: right-hand ones.
HWY_INLINE void set_shapes(int64_t rows) {
  TileShapes shapes;
  const int64_t second = HWY_MAX(rows - kAmxRows, 0), first = rows - second;
  for (const int i : {0, 1, 4}) shapes.set(i, first);
  for (const int i : {2, 3, 5}) shapes.set(i, second);
  for (const int i : {6, 7}) shapes.set(i, kAmxRows);
  shapes.load();
}

// 16 x 16 sums.
struct SumsAt {
  float* at;
  int64_t row_bytes;
};

// What the products of one panel have in common. Each step of a tile has time for a part of the work on the next panel:
// `units` of it, and one more in `rest` of all `steps`.
struct Sweep {
  const uint8_t* right;  // [group][step][16][32]
  int64_t group_bytes, depth_steps;
  bool adds;  // to sums that are there
  Panel* next;
  int64_t units, rest, steps, due = 0;

  HWY_INLINE void work() {
    int64_t now = units;
    if ((due += rest) >= steps) {
      due -= steps;
      ++now;
    }
    if (now > 0) next->decode(*next, now);
  }
};

// Left-hand rows pass by, and are not to drive the right-hand ones out of the first cache: they are loaded as a stream.
// `left`: [step][rows][32]. `from`: sums so far, [2][2][16][16]; those behind them are fetched, as the next to come.
template <bool kTwoRows, bool kTwoGroups>
HWY_NOINLINE void amx_tile(const uint8_t* left, int64_t left_rows, Sweep& sweep, const float* from, const SumsAt* to) {
  if (sweep.adds) {
    _tile_loadd(0, from, 64);
    if (kTwoGroups) _tile_loadd(1, from + 256, 64);
    if (kTwoRows) _tile_loadd(2, from + 512, 64);
    if (kTwoRows && kTwoGroups) _tile_loadd(3, from + 768, 64);
  } else {
    _tile_zero(0);
    if (kTwoGroups) _tile_zero(1);
    if (kTwoRows) _tile_zero(2);
    if (kTwoRows && kTwoGroups) _tile_zero(3);
  }
  const uint8_t* right = sweep.right;
  const int64_t apart = sweep.group_bytes;
  const float* fetched = from + kAmxSums;
  for (int64_t s = 0; s < sweep.depth_steps; ++s, left += left_rows * 64, right += 1024, fetched += 64) {
    _tile_stream_loadd(4, left, 64);
    _tile_loadd(6, right, 64);
    _tile_dpbf16ps(0, 4, 6);
    if (kTwoGroups) {
      _tile_loadd(7, right + apart, 64);
      _tile_dpbf16ps(1, 4, 7);
    }
    if (s < kAmxSums / 64) {
      WEFT_UNROLL
      for (int64_t i = 0; i < 64; i += 16) hwy::Prefetch(fetched + i);
    }
    if (kTwoRows) {
      _tile_stream_loadd(5, left + 1024, 64);
      _tile_dpbf16ps(2, 5, 6);
    }
    if (kTwoRows && kTwoGroups) _tile_dpbf16ps(3, 5, 7);
    sweep.work();
  }
  _tile_stored(0, to[0].at, to[0].row_bytes);
  if (kTwoGroups) _tile_stored(1, to[1].at, to[1].row_bytes);
  if (kTwoRows) _tile_stored(2, to[2].at, to[2].row_bytes);
  if (kTwoRows && kTwoGroups) _tile_stored(3, to[3].at, to[3].row_bytes);
}

// Where the sums of a tile go in the end: to where its rows are, where these lie equally far apart; else the tile is
// stored to `own`, and copied.
class TileOut {
 public:
  TileOut(float* const* out, int64_t rows, int64_t column, float* own)
      : out_(out), rows_(rows), column_(column), own_(own) {
    const int64_t apart = rows > 1 ? out[1] - out[0] : kAmxRows;
    for (int64_t m = 1; m < rows; ++m) in_place_ = in_place_ && out[m] - out[m - 1] == apart;
    for (int64_t i = 0; i < 4; ++i) {
      const int64_t row = HWY_MIN(i / 2 * kAmxRows, rows - 1), group = i % 2 * kAmxRows;
      sums_[i] = in_place_ ? SumsAt{out[row] + column + group, apart * int64_t{sizeof(float)}}
                           : SumsAt{own + i * kAmxRows * kAmxRows, 64};
    }
  }
  const SumsAt* sums() const { return sums_; }
  void finish(int64_t groups) const {
    if (in_place_) return;
    for (int64_t m = 0; m < rows_; ++m) {
      for (int64_t g = 0; g < groups; ++g) {
        const float* row = own_ + ((m / kAmxRows * 2 + g) * kAmxRows + m % kAmxRows) * kAmxRows;
        std::memcpy(out_[m] + column_ + g * kAmxRows, row, 64);
      }
    }
  }

 private:
  float* const* out_;
  int64_t rows_, column_;
  float* own_;
  bool in_place_ = true;
  SumsAt sums_[4];
};

// Up to kAmxMostRows left-hand rows with `columns` outputs, up to kAmxMostOutputs. `panel`: its args, unit and decode.
HWY_INLINE void amx_sweeps(const ProductArgs& args, int64_t first_row, int64_t rows, int64_t column, int64_t columns,
                           Panel& panel) {
  auto* buffers = reinterpret_cast<uint8_t*>(args.scratch);
  auto* own = reinterpret_cast<float*>(args.scratch + 2 * kAmxPanelBytes);
  const int64_t pairs = (columns + kAmxTile - 1) / kAmxTile, tiles = (rows + kAmxTile - 1) / kAmxTile;
  const int64_t depths = HWY_MAX((args.k + kAmxDepth - 1) / kAmxDepth, 1);  // one for k = 0: the sums are 0
  const int64_t sweeps = pairs * depths;
  const auto begin = [&](int64_t sweep) {
    const int64_t depth = args.backwards ? depths - 1 - sweep / pairs : sweep / pairs;
    panel.begin(column / kGroupRows + sweep % pairs * 2, depth * kAmxDepth, buffers + sweep % 2 * kAmxPanelBytes);
  };
  begin(0);
  panel.decode(panel, panel.left);
  int64_t shaped = 0;
  for (int64_t i = 0; i < sweeps; ++i) {
    const bool ends = i + pairs >= sweeps;
    const int64_t groups = panel.groups(), at = panel.group * kGroupRows, first = panel.first;
    Sweep sweep{.right = panel.panel,
                .group_bytes = panel.group_bytes(),
                .depth_steps = panel.steps(),
                .adds = i >= pairs,
                .next = &panel,
                .units = 0,
                .rest = 0,
                .steps = HWY_MAX(tiles * panel.steps(), 1)};
    if (i + 1 < sweeps) {
      begin(i + 1);
      sweep.units = panel.left / sweep.steps;
      sweep.rest = panel.left % sweep.steps;
    }
    float* sums = own + i % pairs * tiles * kAmxSums;
    for (int64_t t = 0; t < tiles; ++t, sums += kAmxSums) {
      const int64_t r = first_row + t * kAmxTile, here = HWY_MIN(kAmxTile, first_row + rows - r);
      if (here != shaped) set_shapes(shaped = here);
      const auto* left = reinterpret_cast<const uint8_t*>(args.left[r / kAmxTile]) + first * here * 2;
      const auto run = [&](auto* tile, const SumsAt* to) {
        tile_fence();
        tile(left, here, sweep, sums, to);
        tile_fence();
      };
      const auto pick = here > kAmxRows ? (groups == 2 ? amx_tile<true, true> : amx_tile<true, false>)
                                        : (groups == 2 ? amx_tile<false, true> : amx_tile<false, false>);
      if (ends) {
        const TileOut out(args.out + r, here, at, sums);
        run(pick, out.sums());
        out.finish(groups);
      } else {
        const SumsAt to[4] = {{sums, 64}, {sums + 256, 64}, {sums + 512, 64}, {sums + 768, 64}};
        run(pick, to);
      }
    }
  }
}

void amx_products(const ProductArgs& args, int64_t unit, void (*decode)(Panel& panel, int64_t units)) {
  Panel panel;
  panel.args = &args;
  panel.unit = unit;
  panel.decode = decode;
  for (int64_t row = 0; row < args.rows; row += kAmxMostRows) {
    const int64_t rows = HWY_MIN(kAmxMostRows, args.rows - row);
    // Few left-hand rows stay in the caches anyhow: right-hand ones are read from front to back.
    const int64_t outputs = rows <= kAmxFewRows ? kAmxTile : kAmxMostOutputs;
    for (int64_t column = 0; column < args.columns; column += outputs) {
      amx_sweeps(args, row, rows, column, HWY_MIN(outputs, args.columns - column), panel);
    }
  }
  _tile_release();
}

void amx_products_of_groups(const ProductArgs& args) {
  const auto decode = visit_block_format(args.format, []<Format kFormat>() { return &decode_units<kFormat>; });
  amx_products(args, kGroupRun, decode);
}

void amx_products_of_rows(const ProductArgs& args) {
  const bool is_bf16 = args.format == Format::bf16;
  amx_products(args, kAmxElements, is_bf16 ? &decode_stored_units<Format::bf16> : &decode_stored_units<Format::f16>);
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
  row.wide_columns = kAmxMostOutputs;
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

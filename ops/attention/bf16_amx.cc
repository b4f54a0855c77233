// Attention's products of bf16 by AMX tiles, for which Highway has no operations: a target on top of Highway's AVX-512.
//
// A tile register holds 16 rows of 64 bytes. One instruction adds, to 16 x 16 sums, the products of 16 left-hand rows
// of 32 elements with 16 right-hand ones, whose elements lie in pairs: [16 pairs][16 rows][2]. Many queries are the
// left-hand rows of scores, and keys are turned for them once. Of few queries, keys are the left-hand rows, which then
// need no turning, but the scores do. Values are the right-hand rows of sums: two keys' values lie in pairs.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/align.h"
#include "ops/attention/bf16_products.h"
#include "ops/cpu/cpu_target.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/attention/bf16_amx.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ops/cpu/amx-inl.h"

#if HWY_ARCH_X86_64 && HWY_TARGET == HWY_AVX3

HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512bf16,amx-tile,amx-bf16")
namespace weft {
namespace HWY_NAMESPACE {
namespace {

constexpr int64_t kRows = 16;      // of a tile register
constexpr int64_t kElements = 32;  // of a row of it
constexpr int64_t kTileBytes = kRows * 64;
constexpr int64_t kKeyGroups = kBlockKeys / kRows;
constexpr int64_t kPairs = kBlockKeys / 2;  // of keys
constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr float kLog2E = 1.44269504f;
static_assert(kBlockKeys == 64 && kBf16Rows == 2 * kRows && kPartialTotals == 16);

int64_t steps_of(int64_t k) { return (k + kElements - 1) / kElements; }

__m512i as_bits(__m512bh v) { return reinterpret_cast<__m512i>(v); }
__m512bh as_bf16(__m512i v) { return reinterpret_cast<__m512bh>(v); }

// --- Reading stored rows.

// Elements [first, first + 32) of a row; 0 from `width` on. kWhole: the width is a multiple of 32. Masks would take a
// third of the time then.
struct Halves {
  __m512 low, high;
};
template <Format kFormat, bool kWhole>
HWY_INLINE Halves floats_of(const std::byte* row, int64_t first, int64_t width) {
  if constexpr (kFormat == Format::q8_0) {  // an f16 scale and 32 bytes
    const auto* block = reinterpret_cast<const uint8_t*>(row) + first / kElements * 34;
    uint16_t bits;
    std::memcpy(&bits, block, 2);
    const __m512 scale = _mm512_cvtph_ps(_mm256_set1_epi16(static_cast<int16_t>(bits)));
    const auto part = [&](const uint8_t* at) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
      return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)), scale);
    };
    return {part(block + 2), part(block + 18)};
  } else if constexpr (kWhole && kFormat == Format::f32) {
    const auto* from = reinterpret_cast<const float*>(row) + first;
    return {_mm512_loadu_ps(from), _mm512_loadu_ps(from + 16)};
  } else if constexpr (kWhole) {
    const auto* from = reinterpret_cast<const __m256i*>(reinterpret_cast<const uint16_t*>(row) + first);
    return {_mm512_cvtph_ps(_mm256_loadu_si256(from)), _mm512_cvtph_ps(_mm256_loadu_si256(from + 1))};
  } else {
    const int64_t here = std::min(kElements, width - first);
    const auto some = static_cast<__mmask32>((uint64_t{1} << here) - 1);
    const auto low = static_cast<__mmask16>(some), high = static_cast<__mmask16>(some >> 16);
    if constexpr (kFormat == Format::f32) {
      const auto* from = reinterpret_cast<const float*>(row) + first;
      return {_mm512_maskz_loadu_ps(low, from), _mm512_maskz_loadu_ps(high, from + 16)};
    } else {
      const auto* from = reinterpret_cast<const uint16_t*>(row) + first;
      return {_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(low, from)),
              _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(high, from + 16))};
    }
  }
}
template <Format kFormat, bool kWhole>
HWY_INLINE __m512i bf16_of(const std::byte* row, int64_t first, int64_t width) {
  if constexpr (kFormat != Format::bf16) {
    const Halves floats = floats_of<kFormat, kWhole>(row, first, width);
    return as_bits(_mm512_cvtne2ps_pbh(floats.high, floats.low));
  } else if constexpr (kWhole) {
    return _mm512_loadu_si512(reinterpret_cast<const uint16_t*>(row) + first);
  } else {
    const int64_t here = std::min(kElements, width - first);
    const auto some = static_cast<__mmask32>((uint64_t{1} << here) - 1);
    return _mm512_maskz_loadu_epi16(some, reinterpret_cast<const uint16_t*>(row) + first);
  }
}

// Cycles, about: of 32 elements that are read, a product of tiles, a turn of one, and a row of scores.
constexpr int64_t kReadWork = 5, kProductWork = 16, kTurnWork = 64, kRowWork = 25;

// --- Turning.

// Elements [first, first + 32) of up to 16 rows, in pairs.
template <Format kFormat, bool kWhole>
HWY_INLINE void turn_rows(const StoredRows& rows, int64_t from, int64_t first, std::byte* out) {
  __m512i pairs[16];
  for (int64_t r = 0; r < kRows; ++r) {
    pairs[r] = from + r < rows.count ? bf16_of<kFormat, kWhole>(rows.rows[from + r] + rows.offset, first, rows.width)
                                     : _mm512_setzero_si512();
  }
  turn_16_by_16(pairs, out, 64);
}

// visit<format, whether the width is a multiple of 32>()
template <class Visit>
HWY_INLINE void with_form(const StoredRows& rows, const Visit& visit) {
  const auto with_format = [&]<bool kWhole>() {
    switch (rows.format) {
      case Format::f32: return visit.template operator()<Format::f32, kWhole>();
      case Format::f16: return visit.template operator()<Format::f16, kWhole>();
      case Format::bf16: return visit.template operator()<Format::bf16, kWhole>();
      default: return visit.template operator()<Format::q8_0, true>();
    }
  };
  if (rows.width % kElements == 0) with_format.template operator()<true>();
  else with_format.template operator()<false>();
}

// --- Packing.

// [group of 16 rows][step][16][32]
void pack_queries(const float* const* left, int64_t rows, int64_t k, std::byte* packed) {
  const int64_t steps = steps_of(k), padded = align_up(rows, kBf16Rows);
  for (int64_t r = 0; r < padded; ++r) {
    std::byte* to = packed + r / kRows * steps * kTileBytes + r % kRows * 64;
    for (int64_t s = 0; s < steps; ++s, to += kTileBytes) {
      const auto* from = reinterpret_cast<const std::byte*>(left[std::min(r, rows - 1)]);
      _mm512_store_si512(to, r < rows ? bf16_of<Format::f32, false>(from, s * kElements, k) : _mm512_setzero_si512());
    }
  }
}

// [group of 16 keys][step][16 pairs][16][2]
void pack_keys(const StoredRows& keys, std::byte* packed) {
  with_form(keys, [&]<Format kFormat, bool kWhole>() {
    const int64_t steps = steps_of(keys.width);
    for (int64_t j = 0; j < keys.count; j += kRows) {
      for (int64_t s = 0; s < steps; ++s, packed += kTileBytes)
        turn_rows<kFormat, kWhole>(keys, j, s * kElements, packed);
    }
  });
}

// Several heads share a tile, as many as have room for their rows: each head has [step][16 pairs][16][2], with zeros
// for the rows of others.
int64_t heads_together(int64_t head_rows) { return kRows / head_rows; }
void pack_few_queries(const float* const* left, int64_t heads, int64_t head_rows, int64_t k, std::byte* packed) {
  const int64_t together = heads_together(head_rows);
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t s = 0; s < steps_of(k); ++s, packed += kTileBytes) {
      __m512i pairs[16];
      for (int64_t r = 0; r < kRows; ++r) {
        const int64_t row = r - head % together * head_rows;
        pairs[r] = _mm512_setzero_si512();
        if (row < 0 || row >= head_rows) continue;
        const auto* from = reinterpret_cast<const std::byte*>(left[head * head_rows + row]);
        pairs[r] = bf16_of<Format::f32, false>(from, s * kElements, k);
      }
      turn_16_by_16(pairs, packed, 64);
    }
  }
}

// [group of 16 elements][32 pairs of keys][16][2], of which the pairs of whole steps of keys are written.
void pack_values(const StoredRows& values, std::byte* packed, Ahead& ahead) {
  constexpr int64_t kReadPairs = 4;
  with_form(values, [&]<Format kFormat, bool kWhole>() {
    const int64_t width = values.width, count = values.count, pairs = align_up(count, kElements) / 2;
    const auto row = [&](int64_t j) { return values.rows[j] + values.offset; };
    // 32 elements of two keys.
    const auto pack = [&](const std::byte* a, const std::byte* b, bool has_second, int64_t i, std::byte* to) {
      __m512i low, high;  // of both rows
      if constexpr (kFormat == Format::bf16) {
        const __m512i x = bf16_of<kFormat, kWhole>(a, i, width), y = bf16_of<kFormat, kWhole>(b, i, width);
        low = _mm512_inserti64x4(x, _mm512_castsi512_si256(y), 1);
        high = _mm512_shuffle_i64x2(x, y, 0xee);
      } else {
        const Halves x = floats_of<kFormat, kWhole>(a, i, width), y = floats_of<kFormat, kWhole>(b, i, width);
        low = as_bits(_mm512_cvtne2ps_pbh(y.low, x.low));
        high = as_bits(_mm512_cvtne2ps_pbh(y.high, x.high));
      }
      if (!has_second) {  // its elements are in the upper halves
        low = _mm512_zextsi256_si512(_mm512_castsi512_si256(low));
        high = _mm512_zextsi256_si512(_mm512_castsi512_si256(high));
      }
      _mm512_store_si512(to, pairs_of_halves(low));
      if (kWhole || i + 16 < width) _mm512_store_si512(to + kPairs * 64, pairs_of_halves(high));
    };
    for (int64_t p = 0; p < pairs; p += kReadPairs) {
      ahead.ask(2 * kReadPairs * steps_of(width) * kReadWork);
      std::byte* to = packed + p * 64;
      if (2 * (p + kReadPairs) <= count) {
        for (int64_t i = 0; i < width; i += kElements, to += 2 * kPairs * 64) {
          for (int64_t q = 0; q < kReadPairs; ++q) pack(row(2 * (p + q)), row(2 * (p + q) + 1), true, i, to + q * 64);
        }
        continue;
      }
      for (int64_t q = p; q < p + kReadPairs; ++q, to += 64) {
        const int64_t there = count - 2 * q;
        for (int64_t i = 0; there > 0 && i < width; i += kElements)
          pack(row(2 * q), row(2 * q + (there > 1)), there > 1, i, to + i / kElements * 2 * kPairs * 64);
        for (int64_t i = 0; there <= 0 && i < width; i += 16)
          _mm512_store_si512(to + i / 16 * kPairs * 64, _mm512_setzero_si512());
      }
    }
  });
}

// --- Products.

// Of many rows, all registers have 16. Of few, 0 and 1 hold sums of values and 2 weights; the others are as of many.
void begin(int64_t few_rows) {
  TileShapes shapes;
  for (int i = 0; i < 8; ++i) shapes.set(i, few_rows > 0 && i <= 2 ? few_rows : kRows);
  shapes.load();
}
void end() { _tile_release(); }

// Sums 0 to 3: of the first and the second left-hand rows, with the first and the second right-hand ones. `left`:
// rows that lie `left_row` bytes from each other, steps and second rows so many; `right`: tiles one after the other.
struct TilesOfLeft {
  const std::byte* at;
  int64_t row, step, second;
};
struct TilesOfRight {
  const std::byte* at;
  int64_t second;
};
template <bool kTwoRows, bool kTwoColumns>
HWY_INLINE void add_products(const TilesOfLeft& left, const TilesOfRight& right, int64_t steps) {
  for (int64_t s = 0; s < steps; ++s) {
    _tile_loadd(4, left.at + s * left.step, left.row);
    _tile_loadd(6, right.at + s * kTileBytes, 64);
    _tile_dpbf16ps(0, 4, 6);
    if (kTwoColumns) {
      _tile_loadd(7, right.at + right.second + s * kTileBytes, 64);
      _tile_dpbf16ps(1, 4, 7);
    }
    if (kTwoRows) {
      _tile_loadd(5, left.at + left.second + s * left.step, left.row);
      _tile_dpbf16ps(2, 5, 6);
      if (kTwoColumns) _tile_dpbf16ps(3, 5, 7);
    }
  }
}
template <bool kTwoRows, bool kTwoColumns>
HWY_INLINE void store_sums(float* at, int64_t stride) {
  const int64_t bytes = stride * int64_t{sizeof(float)};
  _tile_stored(0, at, bytes);
  if (kTwoColumns) _tile_stored(1, at + kRows, bytes);
  if (kTwoRows) _tile_stored(2, at + kRows * stride, bytes);
  if (kTwoRows && kTwoColumns) _tile_stored(3, at + kRows * stride + kRows, bytes);
}
template <bool kTwoRows, bool kTwoColumns>
HWY_INLINE void load_sums(const float* at, int64_t stride) {
  const int64_t bytes = stride * int64_t{sizeof(float)};
  _tile_loadd(0, at, bytes);
  if (kTwoColumns) _tile_loadd(1, at + kRows, bytes);
  if (kTwoRows) _tile_loadd(2, at + kRows * stride, bytes);
  if (kTwoRows && kTwoColumns) _tile_loadd(3, at + kRows * stride + kRows, bytes);
}

// visit<two rows, two columns>(first, column): 32 by 32, or what is left of both.
template <class Visit>
HWY_INLINE void each_sums(int64_t first, int64_t last, int64_t columns, const Visit& visit) {
  for (int64_t r = first; r < last; r += 2 * kRows) {
    for (int64_t c = 0; c < columns; c += 2 * kRows) {
      const bool two_rows = r + kRows < last, two_columns = c + kRows < columns;
      if (two_rows && two_columns) visit.template operator()<true, true>(r, c);
      else if (two_rows) visit.template operator()<true, false>(r, c);
      else if (two_columns) visit.template operator()<false, true>(r, c);
      else visit.template operator()<false, false>(r, c);
    }
  }
}

void scores(const std::byte* queries, const std::byte* keys, int64_t count, int64_t k, int64_t first, int64_t last,
            float* out) {
  const int64_t steps = steps_of(k), group = steps * kTileBytes;
  tile_fence();
  each_sums(first, last, count, [&]<bool kTwoRows, bool kTwoColumns>(int64_t r, int64_t c) {
    _tile_zero(0);
    if (kTwoColumns) _tile_zero(1);
    if (kTwoRows) _tile_zero(2);
    if (kTwoRows && kTwoColumns) _tile_zero(3);
    add_products<kTwoRows, kTwoColumns>({queries + r / kRows * group, 64, kTileBytes, group},
                                        {keys + c / kRows * group, group}, steps);
    store_sums<kTwoRows, kTwoColumns>(out + r * kBlockKeys + c, kBlockKeys);
  });
  tile_fence();
}

// Two groups of 16 keys of a head at a time.
void few_scores(const std::byte* queries, const StoredRows& of_first, int64_t heads, int64_t head_step,
                int64_t head_rows, std::byte* scratch, float* out, Ahead& ahead) {
  constexpr int64_t kKeys = 2 * kRows, kReadRows = 8;
  const int64_t steps = steps_of(of_first.width), together = heads_together(head_rows);
  const int64_t group_bytes = steps * kTileBytes;
  alignas(64) float sums[2][2][kRows * kRows];
  float* place[2] = {nullptr, nullptr};
  int turn = 0;
  // While the sums of some keys are computed, those of the keys before are turned.
  const auto turn_last = [&] {
    for (int g = 0; place[turn] != nullptr && g < 2; ++g) {
      __m512i rows[kRows];
      ahead.ask(kTurnWork);
      for (int64_t j = 0; j < kRows; ++j) rows[j] = _mm512_load_si512(sums[turn][g] + j * kRows);
      turn_16_by_16(rows, reinterpret_cast<std::byte*>(place[turn] + g * kRows), kBlockKeys * sizeof(float));
    }
  };
  with_form(of_first, [&]<Format kFormat, bool kWhole>() {
    StoredRows keys = of_first;
    for (int64_t first = 0; first < keys.count; first += kKeys) {
      const bool two = first + kRows < keys.count;
      for (int64_t set = 0; set < heads; set += together) {
        const int64_t end = std::min(set + together, heads);
        _tile_zero(4);
        _tile_zero(5);
        for (int64_t head = set; head < end; ++head) {
          keys.offset = of_first.offset + head * head_step;
          std::byte* const own = scratch + head % 2 * 2 * group_bytes;
          for (int64_t j = 0; j < (two ? kKeys : kRows); j += kReadRows) {
            ahead.ask(kReadRows * steps * kReadWork);
            std::byte* to = own + j / kRows * group_bytes + j % kRows * 64;
            if (first + j + kReadRows <= keys.count) {
              const std::byte* rows[kReadRows];
              for (int64_t i = 0; i < kReadRows; ++i) rows[i] = keys.rows[first + j + i] + keys.offset;
              for (int64_t s = 0; s < steps; ++s, to += kTileBytes) {
                for (int64_t i = 0; i < kReadRows; ++i)
                  _mm512_store_si512(to + i * 64, bf16_of<kFormat, kWhole>(rows[i], s * kElements, keys.width));
              }
              continue;
            }
            for (int64_t i = 0; i < kReadRows; ++i) {
              const bool there = first + j + i < keys.count;
              const std::byte* row = keys.rows[there ? first + j + i : first] + keys.offset;
              for (int64_t s = 0; s < steps; ++s) {
                const __m512i elements = bf16_of<kFormat, kWhole>(row, s * kElements, keys.width);
                _mm512_store_si512(to + i * 64 + s * kTileBytes, there ? elements : _mm512_setzero_si512());
              }
            }
          }
          tile_fence();
          const std::byte* right = queries + head * group_bytes;
          for (int64_t s = 0; s < steps; ++s) {
            ahead.ask(2 * kProductWork);
            _tile_loadd(7, right + s * kTileBytes, 64);
            _tile_loadd(6, own + s * kTileBytes, 64);
            _tile_dpbf16ps(4, 6, 7);
            if (!two) continue;
            _tile_loadd(3, own + group_bytes + s * kTileBytes, 64);
            _tile_dpbf16ps(5, 3, 7);
          }
        }
        _tile_stored(4, sums[turn][0], 64);
        _tile_stored(5, sums[turn][1], 64);
        tile_fence();
        place[turn] = out + set * head_rows * kBlockKeys + first;
        turn = 1 - turn;
        turn_last();
      }
    }
  });
  turn = 1 - turn;
  turn_last();
}

void add_values(const std::byte* values, int64_t count, int64_t width, const uint16_t* weights, int64_t first,
                int64_t last, bool few, const SoftmaxState& state, float* sums, int64_t stride, Ahead& ahead) {
  const int64_t steps = (count + kElements - 1) / kElements;
  for (int64_t r = first; r < last; ++r) {
    if (state.factor[r] == 1.0f) continue;  // as of most rows, after some blocks
    const __m512 factor = _mm512_set1_ps(state.factor[r]);
    float* row = sums + r * stride;
    for (int64_t i = 0; i < width; i += 16) _mm512_store_ps(row + i, _mm512_mul_ps(_mm512_load_ps(row + i), factor));
  }
  constexpr int64_t kWeightBytes = kBlockKeys * 2;
  const auto* left = reinterpret_cast<const std::byte*>(weights);
  tile_fence();
  if (few) {
    float* at = sums + first * stride;
    const int64_t bytes = stride * int64_t{sizeof(float)};
    left += first * kWeightBytes;
    for (int64_t c = 0; c < width; c += 2 * kRows) {
      const bool two = c + kRows < width;
      const std::byte* right = values + c / kRows * kPairs * 64;
      _tile_loadd(0, at + c, bytes);
      if (two) _tile_loadd(1, at + c + kRows, bytes);
      for (int64_t s = 0; s < steps; ++s) {
        ahead.ask(2 * kProductWork);
        _tile_loadd(2, left + s * 64, kWeightBytes);
        _tile_loadd(3, right + s * kTileBytes, 64);
        _tile_dpbf16ps(0, 2, 3);
        if (!two) continue;
        _tile_loadd(6, right + s * kTileBytes + kPairs * 64, 64);
        _tile_dpbf16ps(1, 2, 6);
      }
      _tile_stored(0, at + c, bytes);
      if (two) _tile_stored(1, at + c + kRows, bytes);
    }
  } else {
    each_sums(first, last, width, [&]<bool kTwoRows, bool kTwoColumns>(int64_t r, int64_t c) {
      load_sums<kTwoRows, kTwoColumns>(sums + r * stride + c, stride);
      add_products<kTwoRows, kTwoColumns>({left + r * kWeightBytes, kWeightBytes, 64, kRows * kWeightBytes},
                                          {values + c / kRows * kPairs * 64, kPairs * 64}, steps);
      store_sums<kTwoRows, kTwoColumns>(sums + r * stride + c, stride);
    });
  }
  tile_fence();
}

// --- Softmax.

// 2^x for x <= 0, within 8e-5 of it, which rounding to bf16 exceeds twentyfold; 0 below 2^-126, NaN of NaN.
HWY_INLINE __m512 power_of_two(__m512 x) {
  const __m512 r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);  // x - floor(x)
  // 2^r on [0, 1): least relative error of degree 3.
  __m512 p = _mm512_set1_ps(0.0780245227f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.2260671554f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.6958335405f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.9999252186f));
  const __mmask16 normal = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-126.0f), _CMP_NLT_UQ);
  return _mm512_maskz_scalef_ps(normal, p, x);
}

// The largest of each of 16 vectors, in their order.
HWY_INLINE __m512 largest_of_each(const __m512* v) {
  __m512 by_2[8], by_4[4], by_8[2];
  for (int i = 0; i < 8; ++i)
    by_2[i] = _mm512_max_ps(_mm512_unpacklo_ps(v[i], v[i + 8]), _mm512_unpackhi_ps(v[i], v[i + 8]));
  // by_2[i]: in each quarter i, i + 8, i, i + 8.
  for (int i = 0; i < 4; ++i) {
    const __m512d a = _mm512_castps_pd(by_2[i]), b = _mm512_castps_pd(by_2[i + 4]);
    by_4[i] = _mm512_max_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
  }
  // by_4[i]: in each quarter i, i + 8, i + 4, i + 12.
  for (int i = 0; i < 2; ++i) {
    by_8[i] = _mm512_max_ps(_mm512_shuffle_f32x4(by_4[i], by_4[i + 2], 0x88),
                            _mm512_shuffle_f32x4(by_4[i], by_4[i + 2], 0xdd));
  }
  // by_8[i]: two quarters of i ..., two of i + 2 ...
  const __m512 all =
      _mm512_max_ps(_mm512_shuffle_f32x4(by_8[0], by_8[1], 0x88), _mm512_shuffle_f32x4(by_8[0], by_8[1], 0xdd));
  // Its quarters are of 0, 2, 1 and 3: where vector i is found is also what is found at i.
  alignas(64) static constexpr int32_t kPlaces[16] = {0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15};
  return _mm512_permutexvar_ps(_mm512_load_si512(kPlaces), all);
}

template <bool kMasked>
void soften_rows(float* scores, int64_t first, int64_t last, int64_t keys, float scale, const SeenPositions& positions,
                 SoftmaxState& state, float* totals, uint16_t* weights, Ahead& ahead) {
  constexpr int kVectors = kBlockKeys / 16;
  const __m512 never = _mm512_set1_ps(kNever), by = _mm512_set1_ps(scale), to_base_2 = _mm512_set1_ps(kLog2E);
  const __m512 base_2_scale = _mm512_set1_ps(scale * kLog2E);
  const __m512bh ones = as_bf16(_mm512_set1_epi16(0x3f80));
  __m512i at[kVectors];
  __mmask16 there[kVectors];
  for (int v = 0; kMasked && v < kVectors; ++v) {
    const int64_t here = std::clamp<int64_t>(keys - v * 16, 0, 16);
    there[v] = static_cast<__mmask16>((1u << here) - 1);
    at[v] =
        positions.key != nullptr ? _mm512_maskz_loadu_epi32(there[v], positions.key + v * 16) : _mm512_setzero_si512();
  }
  for (int64_t r = first; r < last; r += 16) {
    const int64_t rows = std::min<int64_t>(16, last - r);
    const auto some = static_cast<__mmask16>((1u << rows) - 1);
    __m512 of_row[16];
    for (int64_t m = 0; m < rows; ++m) {
      float* row = scores + (r + m) * kBlockKeys;
      __m512 most = never;  // a NaN never is the largest
      const __m512i position =
          kMasked && positions.row != nullptr ? _mm512_set1_epi32(positions.row[r + m]) : _mm512_setzero_si512();
      for (int v = 0; v < kVectors; ++v) {
        __m512 s = _mm512_load_ps(row + v * 16);
        if (kMasked) {
          s = _mm512_mask_mov_ps(never, _mm512_mask_cmple_epi32_mask(there[v], at[v], position), s);
          _mm512_store_ps(row + v * 16, s);
        }
        most = _mm512_max_ps(s, most);
      }
      of_row[m] = most;
    }
    for (int64_t m = rows; m < 16; ++m) of_row[m] = never;
    const __m512 before = _mm512_maskz_loadu_ps(some, state.largest + r);
    const __m512 largest = _mm512_max_ps(_mm512_mul_ps(largest_of_each(of_row), by), before);
    const __m512 base = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(largest, never, _CMP_NEQ_OQ), largest);
    const __m512 negative = _mm512_sub_ps(_mm512_setzero_ps(), _mm512_mul_ps(base, to_base_2));
    const __m512 change = power_of_two(_mm512_fmadd_ps(before, to_base_2, negative));
    // Exactly 1 where the largest stays, which the polynomial does not give.
    const __mmask16 same = _mm512_cmp_ps_mask(before, base, _CMP_EQ_OQ);
    const __m512 factor = _mm512_mask_mov_ps(change, same, _mm512_set1_ps(1.0f));
    _mm512_mask_storeu_ps(state.largest + r, some, largest);
    _mm512_mask_storeu_ps(state.factor + r, some, factor);
    alignas(64) float offsets[16];
    _mm512_store_ps(offsets, negative);
    for (int64_t m = 0; m < rows; ++m) {
      ahead.ask(kRowWork);
      const float* row = scores + (r + m) * kBlockKeys;
      const __m512 offset = _mm512_set1_ps(offsets[m]);
      uint16_t* out = weights + (r + m) * kBlockKeys;
      __m512 total = _mm512_mul_ps(_mm512_load_ps(totals + (r + m) * 16), _mm512_set1_ps(state.factor[r + m]));
      for (int v = 0; v < kVectors; v += 2) {
        const auto weight = [&](int i) {
          return power_of_two(_mm512_fmadd_ps(_mm512_load_ps(row + i * 16), base_2_scale, offset));
        };
        const __m512 low = weight(v), high = weight(v + 1);
        const __m512bh both = _mm512_cvtne2ps_pbh(high, low);
        _mm512_store_si512(out + v * 16, as_bits(both));
        total = _mm512_dpbf16_ps(total, both, ones);
      }
      _mm512_store_ps(totals + (r + m) * 16, total);
    }
    std::memset(weights + (r + rows) * kBlockKeys, 0, static_cast<size_t>((16 - rows) * kBlockKeys) * sizeof *weights);
  }
}

void soften(float* scores, int64_t first, int64_t last, int64_t keys, float scale, const SeenPositions& positions,
            SoftmaxState& state, float* totals, uint16_t* weights, Ahead& ahead) {
  if (!(scale > 0)) {  // the largest score is not that of the largest product
    for (int64_t i = first * kBlockKeys; i < last * kBlockKeys; ++i) scores[i] *= scale;
    scale = 1;
  }
  const bool masked = positions.key != nullptr || keys < kBlockKeys;
  (masked ? soften_rows<true> : soften_rows<false>)(scores, first, last, keys, scale, positions, state, totals, weights,
                                                    ahead);
}

void finish_totals(const float* totals, int64_t rows, SoftmaxState& state) {
  for (int64_t r = 0; r < rows; ++r) state.total[r] = _mm512_reduce_add_ps(_mm512_load_ps(totals + r * 16));
}

}  // namespace

const Bf16Products* amx_attention() {
  static constexpr Bf16Products kProducts{.name = "bf16-amx",
                                          .begin = begin,
                                          .end = end,
                                          .pack_queries = pack_queries,
                                          .pack_keys = pack_keys,
                                          .scores = scores,
                                          .pack_few_queries = pack_few_queries,
                                          .few_scores = few_scores,
                                          .soften = soften,
                                          .finish_totals = finish_totals,
                                          .pack_values = pack_values,
                                          .add_values = add_values};
  return &kProducts;
}

}  // namespace HWY_NAMESPACE
const Bf16Products* attention_by_amx() { return HWY_NAMESPACE::amx_attention(); }
}  // namespace weft
HWY_POP_ATTRIBUTES

#endif

#if HWY_ONCE
namespace weft {

size_t Bf16Products::queries_bytes(int64_t rows, int64_t k) {
  return static_cast<size_t>(align_up(rows, kBf16Rows) * align_up(k, 32)) * 2;
}
size_t Bf16Products::few_queries_bytes(int64_t k) { return static_cast<size_t>(kBf16FewRows * align_up(k, 32)) * 2; }
size_t Bf16Products::keys_bytes(int64_t k) { return static_cast<size_t>(kBlockKeys * align_up(k, 32)) * 2; }
size_t Bf16Products::values_bytes(int64_t width) { return static_cast<size_t>(kBlockKeys * align_up(width, 16)) * 2; }
bool Bf16Products::reads(Format format) {
  return format == Format::f32 || format == Format::f16 || format == Format::bf16 || format == Format::q8_0;
}

const Bf16Products* bf16_products() {
#if HWY_ARCH_X86_64 && (HWY_TARGETS & HWY_AVX3)
  return has_amx_bf16() ? attention_by_amx() : nullptr;
#else
  return nullptr;
#endif
}

}  // namespace weft
#endif

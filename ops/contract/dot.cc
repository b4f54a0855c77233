// Few left-hand rows: dot products against rows that are decoded in registers.
#include "ops/contract/kernels.h"
#include "ops/contract/products.h"
#include "ops/cpu/cpu_target.h"
#include "ops/cpu/decode_tile.h"

#include <hwy/cache_control.h>
#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/contract/dot.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ops/cpu/decode-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

// Right-hand rows of one block: as many as leave the accumulators in registers.
template <int64_t kLhs>
constexpr int64_t rhs_block() {
  return HWY_TARGET <= HWY_AVX3 || kLhs <= 2 ? 4 : 2;
}

// Dot products of kRhs right-hand rows with kLhs left-hand rows. A single left-hand row has two accumulators per
// right-hand row, so that there are enough independent sums to hide the latency of the addition. `later`: the rows that
// come next, to be fetched meanwhile, or null.
template <Format kFormat, int64_t kLhs, int64_t kRhs>
HWY_NOINLINE void dot_block(RowPointers rows, RowPointers later, const float* const* lhs, int64_t k, float* const* out,
                            int64_t j0) {
  using U = Unit<kFormat>;
  constexpr int64_t kSums = kLhs == 1 && kVectors > 1 ? 2 : 1;
  const DF df;
  VF sum[kRhs][kLhs][kSums];
  WEFT_UNROLL
  for (int64_t r = 0; r < kRhs; ++r) {
    WEFT_UNROLL
    for (int64_t m = 0; m < kLhs; ++m) {
      WEFT_UNROLL
      for (int64_t s = 0; s < kSums; ++s) sum[r][m][s] = hn::Zero(df);
    }
  }
  const uint8_t* at[kRhs];
  const float* left[kLhs];
  WEFT_UNROLL
  for (int64_t r = 0; r < kRhs; ++r) at[r] = reinterpret_cast<const uint8_t*>(rows[r]);
  WEFT_UNROLL
  for (int64_t m = 0; m < kLhs; ++m) left[m] = lhs[m];
  uint8_t rest[kRhs][U::kBytes];
  float left_rest[kLhs][kUnit];
  for (int64_t i = 0; i < k; i += kUnit) {
    if (kIsPlain<kFormat> && k - i < kUnit) {
      // The last elements, filled up with zeros.
      const size_t count = static_cast<size_t>(k - i);
      std::memset(rest, 0, sizeof rest);
      std::memset(left_rest, 0, sizeof left_rest);
      for (int64_t r = 0; r < kRhs; ++r) {
        std::memcpy(rest[r], at[r], row_bytes(kFormat, count));
        at[r] = rest[r];
      }
      for (int64_t m = 0; m < kLhs; ++m) {
        std::memcpy(left_rest[m], left[m], count * sizeof(float));
        left[m] = left_rest[m];
      }
    }
    // Of one stream, lines well ahead. (Zen 5, BF16, one thread: 34 to 37 GB/s; F32 gains nothing.)
    constexpr int64_t kAhead = 8192;
    if constexpr (kRhs == 1 && kLhs == 1 && kIsPlain<kFormat> && U::kBytes == 64) hwy::Prefetch(at[0] + kAhead);
    if (later != nullptr) {
      WEFT_UNROLL
      for (int64_t r = 0; r < kRhs; ++r) fetch_line(later[r] + i / kUnit * int64_t{U::kBytes});
    }
    WEFT_UNROLL
    for (int64_t r = 0; r < kRhs; ++r) {
      const U decoded(at[r]);
      for (int64_t j = 0; j < kVectors; j += kSums) {
        WEFT_UNROLL
        for (int64_t t = 0; t < kSums; ++t) {
          const VF weight = decoded.get(j + t);
          WEFT_UNROLL
          for (int64_t m = 0; m < kLhs; ++m) {
            sum[r][m][t] = hn::MulAdd(weight, hn::LoadU(df, left[m] + (j + t) * kLanes), sum[r][m][t]);
          }
        }
      }
      at[r] += U::kBytes;
    }
    WEFT_UNROLL
    for (int64_t m = 0; m < kLhs; ++m) left[m] += kUnit;
  }
  WEFT_UNROLL
  for (int64_t r = 0; r < kRhs; ++r) {
    WEFT_UNROLL
    for (int64_t m = 0; m < kLhs; ++m) {
      VF total = sum[r][m][0];
      if constexpr (kSums == 2) total = hn::Add(total, sum[r][m][1]);
      out[m][j0 + r] = hn::GetLane(hn::SumOfLanes(df, total));
    }
  }
}

template <Format kFormat, int64_t kLhs>
void dot_format(RowPointers rows, int64_t count, const float* const* lhs, int64_t k, float* const* out) {
  // Long rows follow each other as one stream of memory, which the hardware finds if they are read one by one. (One
  // left-hand row on Zen 4, BF16, two threads: 38 GB/s by four rows, 58 by one.)
  constexpr int64_t kLong = 512;
  if constexpr (kLhs == 1 && kIsPlain<kFormat>) {
    if (k >= kLong && !wants_far_lines()) {
      for (int64_t j = 0; j < count; ++j) dot_block<kFormat, kLhs, 1>(rows + j, nullptr, lhs, k, out, j);
      return;
    }
  }
  constexpr int64_t kRhs = rhs_block<kLhs>();
  if (count >= kRhs) {  // the last block may overlap the one before: it gives the same sums
    // (Xeon with AMX, BF16, two threads, a whole model's decode: 33.1 to 36.4 tokens/s. F32 loses by it.)
    constexpr bool kIsLine = kIsPlain<kFormat> && Unit<kFormat>::kBytes == 64;
    const bool fetches = kLhs == 1 && kIsLine && wants_far_lines();
    for (int64_t j = 0; j < count; j += kRhs) {
      const int64_t first = std::min(j, count - kRhs);
      const RowPointers later = fetches && first + 2 * kRhs <= count ? rows + first + kRhs : nullptr;
      dot_block<kFormat, kLhs, kRhs>(rows + first, later, lhs, k, out, first);
    }
    return;
  }
  if (count == 0) return;
  const std::byte* repeated[kRhs];
  float sums[kLhs][kRhs];
  float* to[kLhs];
  for (int64_t r = 0; r < kRhs; ++r) repeated[r] = rows[std::min(r, count - 1)];
  for (int64_t m = 0; m < kLhs; ++m) to[m] = sums[m];
  dot_block<kFormat, kLhs, kRhs>(repeated, nullptr, lhs, k, to, 0);
  for (int64_t m = 0; m < kLhs; ++m) std::copy_n(sums[m], count, out[m]);
}

// Formats without a decoder in registers: a few rows at a time are decoded into the first-level cache.
template <int64_t kLhs>
void dot_decoded(Format format, RowPointers rows, int64_t count, const float* const* lhs, int64_t k,
                 float* const* out) {
  constexpr int64_t kRhs = rhs_block<kLhs>();
  constexpr int64_t kDepth = 512;  // whole blocks of every format
  static_assert(kDepth % kMaxBlockElements == 0);
  HWY_ALIGN float decoded[kRhs][kDepth];
  const std::byte* pointers[kRhs];
  for (int64_t r = 0; r < kRhs; ++r) pointers[r] = reinterpret_cast<const std::byte*>(decoded[r]);
  const float* left[kLhs];
  float sums[kLhs][kRhs];
  float* to[kLhs];
  for (int64_t m = 0; m < kLhs; ++m) to[m] = sums[m];
  for (int64_t j = 0; j < count; j += kRhs) {
    const int64_t rows_here = std::min(kRhs, count - j);
    for (int64_t m = 0; m < kLhs; ++m) std::fill_n(out[m] + j, rows_here, 0.0f);
    for (int64_t i = 0; i < k; i += kDepth) {
      const int64_t depth = std::min(kDepth, k - i);
      for (int64_t r = 0; r < rows_here; ++r) decode_elements(format, rows[j + r], i, depth, decoded[r]);
      for (int64_t m = 0; m < kLhs; ++m) left[m] = lhs[m] + i;
      dot_format<Format::f32, kLhs>(pointers, rows_here, left, depth, to);
      for (int64_t m = 0; m < kLhs; ++m) {
        for (int64_t r = 0; r < rows_here; ++r) out[m][j + r] += sums[m][r];
      }
    }
  }
}

template <Format kFormat, int64_t kLhs>
void dot_lhs(RowPointers rows, int64_t count, const float* const* lhs, int64_t k, float* const* out) {
  if constexpr (has_unit<kFormat>()) {
    dot_format<kFormat, kLhs>(rows, count, lhs, k, out);
  } else {
    dot_decoded<kLhs>(kFormat, rows, count, lhs, k, out);
  }
}

template <int64_t kLhs>
void dot_any_format(Format format, RowPointers rows, int64_t count, const float* const* lhs, int64_t k,
                    float* const* out) {
  const auto dot = visit_float_format(format, []<Format kFormat>() { return &dot_lhs<kFormat, kLhs>; });
  dot(rows, count, lhs, k, out);
}

void dot_any(Format format, RowPointers rows, int64_t count, const float* const* lhs, int lhs_rows, int64_t k,
             float* const* out) {
  switch (lhs_rows) {
    case 1: return dot_any_format<1>(format, rows, count, lhs, k, out);
    case 2: return dot_any_format<2>(format, rows, count, lhs, k, out);
    case 3: return dot_any_format<3>(format, rows, count, lhs, k, out);
    default: return dot_any_format<4>(format, rows, count, lhs, k, out);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {
HWY_EXPORT(dot_any);

void dot_rows(Format format, RowPointers rows, int64_t count, const float* const* lhs, int lhs_rows, int64_t k,
              float* const* out) {
  HWY_DYNAMIC_DISPATCH(dot_any)(format, rows, count, lhs, lhs_rows, k, out);
}

namespace {
constexpr const char* kName = "f32-dot";
// Right-hand rows that stay in cache while all left-hand rows meet them.
constexpr int64_t kDotColumns = 16;

const char* run_f32_dot(const ProductArgs& args) {
  const int64_t step = args.rows <= kDotRows ? args.columns : kDotColumns;
  for (int64_t j = 0; j < args.columns; j += step) {
    const int64_t count = std::min(step, args.columns - j);
    for (int64_t i = 0; i < args.rows; i += kDotRows) {
      const auto rows = static_cast<int>(std::min<int64_t>(kDotRows, args.rows - i));
      const float* left[kDotRows];
      float* to[kDotRows];
      for (int m = 0; m < rows; ++m) {
        left[m] = reinterpret_cast<const float*>(args.left[i + m]);
        to[m] = args.out[i + m] + j;
      }
      dot_rows(args.format, args.right + j, count, left, rows, args.k, to);
    }
  }
  return kName;
}
}  // namespace

void add_f32_dot(KernelTable& table) {
  ProductKernel row;
  row.name = kName;
  row.formats.assign(std::begin(kFloatFormats), std::end(kFloatFormats));
  row.run = run_f32_dot;
  table.add(std::move(row));
}

}  // namespace weft
#endif

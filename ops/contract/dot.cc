// Few left-hand rows: dot products against rows that are decoded in registers.
#include "ops/contract/kernels.h"

#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/contract/dot.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ops/contract/decode-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

// Right-hand rows of one block: as many as leave the accumulators in registers.
template <int kLhs>
constexpr int rhs_block() {
  return HWY_TARGET <= HWY_AVX3 || kLhs <= 2 ? 4 : 2;
}

// Dot products of kRhs right-hand rows with kLhs left-hand rows. A single left-hand row has two accumulators per
// right-hand row, so that there are enough independent sums to hide the latency of the addition.
template <Format kFormat, int kLhs, int kRhs>
HWY_INLINE void dot_block(RowPointers rows, const float* const* lhs, int64_t k, float* const* out, int64_t j0) {
  using U = Unit<kFormat>;
  constexpr int kSums = kLhs == 1 && kVectors > 1 ? 2 : 1;
  const DF df;
  VF sum[kRhs][kLhs][kSums];
  unroll<kRhs>([&](auto r) WEFT_LAMBDA {
    unroll<kLhs>([&](auto m) WEFT_LAMBDA {
      unroll<kSums>([&](auto s) WEFT_LAMBDA { sum[r][m][s] = hn::Zero(df); });
    });
  });
  const uint8_t* at[kRhs];
  const float* left[kLhs];
  unroll<kRhs>([&](auto r) WEFT_LAMBDA { at[r] = reinterpret_cast<const uint8_t*>(rows[r]); });
  unroll<kLhs>([&](auto m) WEFT_LAMBDA { left[m] = lhs[m]; });
  uint8_t rest[kRhs][U::kBytes];
  float left_rest[kLhs][kUnit];
  for (int64_t i = 0; i < k; i += kUnit) {
    if (kIsPlain<kFormat> && k - i < static_cast<int64_t>(kUnit)) {
      // The last elements, filled up with zeros.
      const size_t count = static_cast<size_t>(k - i);
      std::memset(rest, 0, sizeof rest);
      std::memset(left_rest, 0, sizeof left_rest);
      for (int r = 0; r < kRhs; ++r) {
        std::memcpy(rest[r], at[r], row_bytes(kFormat, count));
        at[r] = rest[r];
      }
      for (int m = 0; m < kLhs; ++m) {
        std::memcpy(left_rest[m], left[m], count * sizeof(float));
        left[m] = left_rest[m];
      }
    }
    unroll<kRhs>([&](auto r) WEFT_LAMBDA {
      const U decoded(at[r]);
      for (size_t j = 0; j < kVectors; j += kSums) {
        unroll<kSums>([&](auto t) WEFT_LAMBDA {
          const VF weight = decoded.get(j + t);
          unroll<kLhs>([&](auto m) WEFT_LAMBDA {
            sum[r][m][t] = hn::MulAdd(weight, hn::LoadU(df, left[m] + (j + t) * kLanes), sum[r][m][t]);
          });
        });
      }
      at[r] += U::kBytes;
    });
    unroll<kLhs>([&](auto m) WEFT_LAMBDA { left[m] += kUnit; });
  }
  unroll<kRhs>([&](auto r) WEFT_LAMBDA {
    unroll<kLhs>([&](auto m) WEFT_LAMBDA {
      VF total = sum[r][m][0];
      if constexpr (kSums == 2) total = hn::Add(total, sum[r][m][1]);
      out[m][j0 + static_cast<int64_t>(r)] = hn::GetLane(hn::SumOfLanes(df, total));
    });
  });
}

template <Format kFormat, int kLhs>
void dot_format(RowPointers rows, int64_t count, const float* const* lhs, int64_t k, float* const* out) {
  constexpr int kRhs = rhs_block<kLhs>();
  if (count >= kRhs) {  // the last block may overlap the one before: it gives the same sums
    for (int64_t j = 0; j < count; j += kRhs) {
      const int64_t first = std::min(j, count - kRhs);
      dot_block<kFormat, kLhs, kRhs>(rows + first, lhs, k, out, first);
    }
    return;
  }
  if (count == 0) return;
  const std::byte* repeated[kRhs];
  float sums[kLhs][kRhs];
  float* to[kLhs];
  for (int r = 0; r < kRhs; ++r) repeated[r] = rows[std::min<int64_t>(r, count - 1)];
  for (int m = 0; m < kLhs; ++m) to[m] = sums[m];
  dot_block<kFormat, kLhs, kRhs>(repeated, lhs, k, to, 0);
  for (int m = 0; m < kLhs; ++m) std::copy_n(sums[m], count, out[m]);
}

template <Format kFormat>
void dot_lhs(RowPointers rows, int64_t count, const float* const* lhs, int lhs_rows, int64_t k,
             float* const* out) {
  switch (lhs_rows) {
    case 1: return dot_format<kFormat, 1>(rows, count, lhs, k, out);
    case 2: return dot_format<kFormat, 2>(rows, count, lhs, k, out);
    case 3: return dot_format<kFormat, 3>(rows, count, lhs, k, out);
    default: return dot_format<kFormat, 4>(rows, count, lhs, k, out);
  }
}

void dot_any(Format format, RowPointers rows, int64_t count, const float* const* lhs, int lhs_rows, int64_t k,
             float* const* out) {
  switch (format) {
    case Format::f32: return dot_lhs<Format::f32>(rows, count, lhs, lhs_rows, k, out);
    case Format::f16: return dot_lhs<Format::f16>(rows, count, lhs, lhs_rows, k, out);
    case Format::bf16: return dot_lhs<Format::bf16>(rows, count, lhs, lhs_rows, k, out);
    case Format::q8_0: return dot_lhs<Format::q8_0>(rows, count, lhs, lhs_rows, k, out);
    case Format::q4_0: return dot_lhs<Format::q4_0>(rows, count, lhs, lhs_rows, k, out);
    case Format::i32:
    case Format::bool8: return;
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

}  // namespace weft
#endif

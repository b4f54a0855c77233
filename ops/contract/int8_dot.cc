// Activations quantized to int8: sums of a run are exact integers, scaled once per run.
#include "ops/contract/int8_dot.h"

#include <array>
#include <bit>
#include <cstring>

#include "core/align.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/contract/int8_dot.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

#include "core/format/quants-inl.h"

// A quantized row holds k int8 values, then the scales and the sums of QuantizedRow, as f32.

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

void round_blocks(const float* row, int64_t k, std::byte* quantized) {
  const DF df;
  const hn::RebindToSigned<DF> di;
  const hn::Rebind<int8_t, DF> d8;
  auto* values = reinterpret_cast<int8_t*>(quantized);
  auto* scales = reinterpret_cast<float*>(quantized + static_cast<size_t>(k));
  float* sums_32 = scales + k / kRun;
  float* sums_16 = sums_32 + k / kRun;
  for (int64_t i = 0; i < k; i += kRun) {
    // The magnitudes' bits compare like the magnitudes, and put NaN above infinity.
    auto largest = hn::Zero(di);
    for (int64_t j = 0; j < kRun; j += kLanes) {
      largest = hn::Max(largest, hn::BitCast(di, hn::Abs(hn::LoadU(df, row + i + j))));
    }
    const auto bits = static_cast<uint32_t>(hn::GetLane(hn::MaxOfLanes(di, largest)));
    float scale = 0, inverse = 0;
    if (bits >= 0x7f800000u) {
      scale = std::bit_cast<float>(0x7fc00000u);
    } else if (const float magnitude = std::bit_cast<float>(bits); magnitude > 1e-30f) {
      scale = magnitude / 127.0f;
      inverse = 127.0f / magnitude;
    }
    const VF factor = hn::Set(df, inverse);
    int32_t sums[2] = {0, 0};
    for (int64_t half = 0; half < 2; ++half) {
      auto total = hn::Zero(di);
      for (int64_t j = half * 16; j < half * 16 + 16; j += kLanes) {
        const auto value = hn::NearestInt(hn::Mul(hn::LoadU(df, row + i + j), factor));
        total = hn::Add(total, value);
        hn::StoreU(hn::DemoteTo(d8, value), d8, values + i + j);
      }
      sums[half] = hn::GetLane(hn::SumOfLanes(di, total));
    }
    if (inverse == 0) {  // inf * 0 was no number
      std::memset(values + i, 0, kRun);
      sums[0] = sums[1] = 0;
    }
    scales[i / kRun] = scale;
    sums_32[i / kRun] = scale * static_cast<float>(sums[0] + sums[1]);
    sums_16[i / 16] = scale * static_cast<float>(sums[0]);
    sums_16[i / 16 + 1] = scale * static_cast<float>(sums[1]);
  }
}

#include "ops/contract/int8_dot-inl.h"

struct Pairs {
  template <bool kSigned>
  static HWY_INLINE VI add(VI sums, V8 bytes, V8 values) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
    // Pairs of products stay within 16 bits: at most 2 * 128 * 127.
    const auto left = kSigned ? _mm256_abs_epi8(bytes.raw) : bytes.raw;
    const auto right = kSigned ? _mm256_sign_epi8(values.raw, bytes.raw) : values.raw;
    const auto pairs = _mm256_maddubs_epi16(left, right);
    return hn::Add(sums, VI{_mm256_madd_epi16(pairs, _mm256_set1_epi16(1))});
#else
    const hn::Rebind<int16_t, hn::Half<D8> > d16;
    const hn::Half<D8> half;
    const hn::RebindToSigned<hn::Half<D8> > half_signed;
    const auto widened = [&](hn::Vec<hn::Half<D8> > part, bool is_signed) HWY_ATTR {
      return is_signed ? hn::PromoteTo(d16, hn::BitCast(half_signed, part)) : hn::PromoteTo(d16, part);
    };
    VI rest = hn::Zero(DI());
    sums = hn::ReorderWidenMulAccumulate(DI(), widened(hn::LowerHalf(half, bytes), kSigned),
                                         widened(hn::LowerHalf(half, values), true), sums, rest);
    sums = hn::ReorderWidenMulAccumulate(DI(), widened(hn::UpperHalf(half, bytes), kSigned),
                                         widened(hn::UpperHalf(half, values), true), sums, rest);
    return hn::Add(sums, rest);
#endif
  }
};

void dot_int8_highway(Format format, RowPointers rows, int64_t count, const QuantizedRow* lhs, int lhs_rows, int64_t k,
                      float* const* out) {
  dot_int8_with<Pairs>(format, rows, count, lhs, lhs_rows, k, out);
}

void dot_int8_best(Format format, RowPointers rows, int64_t count, const QuantizedRow* lhs, int lhs_rows, int64_t k,
                   float* const* out) {
#if HWY_ARCH_X86 && HWY_TARGET == HWY_AVX3
  if (has_vnni()) return dot_int8_vnni(format, rows, count, lhs, lhs_rows, k, out);
#endif
  dot_int8_highway(format, rows, count, lhs, lhs_rows, k, out);
}

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {
HWY_EXPORT(round_blocks);
HWY_EXPORT(dot_int8_highway);
HWY_EXPORT(dot_int8_best);

namespace {

std::array<QuantizedRow, kInt8Rows> parts_of(const std::byte* const* lhs, int lhs_rows, int64_t k) {
  std::array<QuantizedRow, kInt8Rows> rows{};
  for (int m = 0; m < lhs_rows; ++m) {
    const auto* scales = reinterpret_cast<const float*>(lhs[m] + static_cast<size_t>(k));
    rows[static_cast<size_t>(m)] = {reinterpret_cast<const int8_t*>(lhs[m]), scales, scales + k / 32,
                                    scales + k / 32 * 2};
  }
  return rows;
}

}  // namespace

size_t quantized_row_bytes(int64_t k) {
  const auto elements = static_cast<size_t>(k);
  return align_up(elements + elements / 32 * 4 * sizeof(float));
}

bool has_int8_kernel(Format format) { return info(format).block_elements > 1; }

void quantize_activations(const float* row, int64_t k, std::byte* quantized) {
  HWY_DYNAMIC_DISPATCH(round_blocks)(row, k, quantized);
}

void dot_int8_rows(Format format, RowPointers rows, int64_t count, const std::byte* const* lhs, int lhs_rows, int64_t k,
                   float* const* out) {
  const auto parts = parts_of(lhs, lhs_rows, k);
  HWY_DYNAMIC_DISPATCH(dot_int8_best)(format, rows, count, parts.data(), lhs_rows, k, out);
}

void dot_int8_rows_by_highway(Format format, RowPointers rows, int64_t count, const std::byte* const* lhs, int lhs_rows,
                              int64_t k, float* const* out) {
  const auto parts = parts_of(lhs, lhs_rows, k);
  HWY_DYNAMIC_DISPATCH(dot_int8_highway)(format, rows, count, parts.data(), lhs_rows, k, out);
}

}  // namespace weft
#endif

#include "ops/contract/activations.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/align.h"
#include "ops/contract/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/contract/activations.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ops/cpu/decode-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

// The bits of the largest magnitude of a block: they compare like the magnitudes, and put NaN above infinity.
uint32_t largest_of_block(const float* from) {
  const DF df;
  const hn::RebindToSigned<DF> di;
  auto largest = hn::Zero(di);
  for (int64_t j = 0; j < kActivationBlock; j += kLanes) {
    largest = hn::Max(largest, hn::BitCast(di, hn::Abs(hn::LoadU(df, from + j))));
  }
  return static_cast<uint32_t>(hn::GetLane(hn::MaxOfLanes(di, largest)));
}

// Block `block` of row `m` of `rows` of a tile: from[i] * factor, which are at most 127, to the nearest whole numbers.
// All 0 for a factor of 0, whatever `from` has.
void store_block(const float* from, float factor, float scale, int64_t block, int64_t m, int64_t rows,
                 const Int8Tile& to) {
  const DF df;
  const hn::RebindToSigned<DF> di;
  const hn::Rebind<int8_t, DF> d8;
  auto* values = const_cast<int8_t*>(to.values) + (block * rows + m) * kActivationBlock;
  int32_t sums[2] = {0, 0};
  for (int64_t half = 0; half < 2; ++half) {
    auto total = hn::Zero(di);
    for (int64_t j = half * 16; j < half * 16 + 16; j += kLanes) {
      const auto value = hn::NearestInt(hn::Mul(hn::LoadU(df, from + j), hn::Set(df, factor)));
      total = hn::Add(total, value);
      hn::StoreU(hn::DemoteTo(d8, value), d8, values + j);
    }
    sums[half] = hn::GetLane(hn::SumOfLanes(di, total));
  }
  if (factor == 0) {  // inf * 0 was no number
    std::memset(values, 0, kActivationBlock);
    sums[0] = sums[1] = 0;
  }
  const int64_t at = block * rows + m, at_16 = 2 * block * rows + m;
  const_cast<float*>(to.scales)[at] = scale;
  const_cast<float*>(to.sums_32)[at] = scale * static_cast<float>(sums[0] + sums[1]);
  const_cast<int32_t*>(to.bias)[at] = -128 * (sums[0] + sums[1]);
  for (int64_t half = 0; half < 2; ++half) {
    const_cast<float*>(to.sums_16)[at_16 + half * rows] = scale * static_cast<float>(sums[half]);
    const_cast<int32_t*>(to.bias_16)[at_16 + half * rows] = -128 * sums[half];
  }
}

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr uint32_t kInfinity = 0x7f800000u;
constexpr float kLeast = 1e-30f;  // smaller magnitudes are taken for 0

// Row `m` of `rows` of a tile.
void quantize_row(const float* row, int64_t k, int64_t m, int64_t rows, std::byte* tile) {
  const Int8Tile to(tile, rows, k);
  for (int64_t block = 0; block < k / kActivationBlock; ++block) {
    const float* from = row + block * kActivationBlock;
    const uint32_t bits = largest_of_block(from);
    float scale = 0, inverse = 0;
    if (bits >= kInfinity) {
      scale = kNan;
    } else if (const float magnitude = std::bit_cast<float>(bits); magnitude > kLeast) {
      scale = magnitude / 127.0f;
      inverse = 127.0f / magnitude;
    }
    store_block(from, inverse, scale, block, m, rows, to);
  }
}

void split_row(const float* row, int64_t k, int64_t m, int64_t rows, std::byte* tile) {
  const DF df;
  std::memcpy(reinterpret_cast<float*>(tile) + m * k, row, static_cast<size_t>(k) * sizeof(float));
  const DigitTile to(tile, rows, k);
  bool fits = true;
  for (int64_t block = 0; block < k / kActivationBlock; ++block) {
    const float* from = row + block * kActivationBlock;
    const uint32_t bits = largest_of_block(from);
    const auto magnitude = std::bit_cast<float>(bits);
    fits &= bits < kInfinity && (magnitude > kLeast || magnitude == 0);
    float scale = 0, factor = 0;
    if (fits && magnitude > 0) {
      const int exponent = std::ilogb(magnitude) - 5;  // digits are at most 64
      scale = std::ldexp(1.0f, exponent);
      factor = std::ldexp(1.0f, -exponent);
    }
    HWY_ALIGN float left[kActivationBlock];
    for (int64_t j = 0; j < kActivationBlock; j += kLanes) {
      hn::Store(hn::Mul(hn::LoadU(df, from + j), hn::Set(df, factor)), df, left + j);
    }
    for (int64_t digit = 0; digit < kDigits; ++digit, scale /= 128) {
      store_block(left, factor == 0 ? 0.0f : 1.0f, scale, block, m * kDigits + digit, rows * kDigits, to.digits);
      for (int64_t j = 0; j < kActivationBlock; j += kLanes) {  // exact
        const VF scaled = hn::Load(df, left + j);
        hn::Store(hn::Mul(hn::Sub(scaled, hn::Round(scaled)), hn::Set(df, 128.0f)), df, left + j);
      }
    }
  }
  if (!fits && k > 0) const_cast<float*>(to.digits.scales)[m * kDigits] = kNan;
}

// The upper halves of f32, rounded to the nearest, ties to even; a NaN stays one.
void round_row(const float* row, int64_t k, int64_t m, int64_t rows, std::byte* tile) {
  const DF df;
  const hn::RebindToSigned<DF> di;
  const hn::Rebind<uint16_t, DF> d16;
  auto* to = reinterpret_cast<uint16_t*>(tile) + m * kActivationBlock;
  for (int64_t block = 0; block < k; block += kActivationBlock, to += rows * kActivationBlock) {
    HWY_ALIGN float padded[kActivationBlock];
    const float* from = row + block;
    if (k - block < kActivationBlock) {
      std::memset(padded, 0, sizeof padded);
      std::memcpy(padded, from, static_cast<size_t>(k - block) * sizeof(float));
      from = padded;
    }
    for (int64_t j = 0; j < kActivationBlock; j += kLanes) {
      const VF value = hn::LoadU(df, from + j);
      const hn::RebindToUnsigned<DF> du;
      const auto bits = hn::BitCast(du, value);
      const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
      const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fff))));
      const auto nan = hn::Or(hn::ShiftRight<16>(bits), hn::Set(du, 0x40));
      const auto result = hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(value)), nan, rounded);
      hn::StoreU(hn::DemoteTo(d16, hn::BitCast(di, result)), d16, to + j);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {
HWY_EXPORT(quantize_row);
HWY_EXPORT(round_row);
HWY_EXPORT(split_row);

Int8Tile::Int8Tile(const std::byte* tile, int64_t rows, int64_t k) {
  const int64_t blocks = k / kActivationBlock * rows;
  values = reinterpret_cast<const int8_t*>(tile);
  scales = reinterpret_cast<const float*>(tile + blocks * kActivationBlock);
  sums_32 = scales + blocks;
  sums_16 = sums_32 + blocks;
  bias = reinterpret_cast<const int32_t*>(sums_16 + 2 * blocks);
  bias_16 = bias + blocks;
}

DigitTile::DigitTile(const std::byte* tile, int64_t rows, int64_t k)
    : floats(reinterpret_cast<const float*>(tile)),
      digits(tile + static_cast<size_t>(rows * k) * sizeof(float), rows * kDigits, k) {}

size_t activation_row_bytes(ActivationElement element, int64_t k) {
  const auto elements = static_cast<size_t>(k);
  const size_t floats = elements * sizeof(float), quantized = elements + elements / 32 * 7 * sizeof(float);
  switch (element) {
    case ActivationElement::floats: return floats;
    case ActivationElement::int8: return quantized;
    case ActivationElement::digits: return floats + size_t{kDigits} * quantized;
    case ActivationElement::bf16: break;
  }
  return align_up(elements, size_t{kActivationBlock}) * 2;
}

void prepare_activations(ActivationElement element, const float* const* from, int64_t rows, int64_t k,
                         std::byte* tile) {
  if (element == ActivationElement::floats) {
    gemm_pack(from, rows, k, reinterpret_cast<float*>(tile));
    return;
  }
  for (int64_t m = 0; m < rows; ++m) {
    if (element == ActivationElement::int8) HWY_DYNAMIC_DISPATCH(quantize_row)(from[m], k, m, rows, tile);
    else if (element == ActivationElement::digits) HWY_DYNAMIC_DISPATCH(split_row)(from[m], k, m, rows, tile);
    else HWY_DYNAMIC_DISPATCH(round_row)(from[m], k, m, rows, tile);
  }
}

}  // namespace weft
#endif

#include "ops/contract/activations.h"

#include <bit>
#include <cstring>

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

// Row `m` of `rows` of a tile.
void quantize_row(const float* row, int64_t k, int64_t m, int64_t rows, std::byte* tile) {
  const DF df;
  const hn::RebindToSigned<DF> di;
  const hn::Rebind<int8_t, DF> d8;
  const Int8Tile to(tile, rows, k);
  auto* values = const_cast<int8_t*>(to.values);
  auto* scales = const_cast<float*>(to.scales);
  auto* sums_32 = const_cast<float*>(to.sums_32);
  auto* sums_16 = const_cast<float*>(to.sums_16);
  auto* bias = const_cast<int32_t*>(to.bias);
  auto* bias_16 = const_cast<int32_t*>(to.bias_16);
  for (int64_t block = 0; block < k / kActivationBlock; ++block) {
    const float* from = row + block * kActivationBlock;
    int8_t* out = values + (block * rows + m) * kActivationBlock;
    // The magnitudes' bits compare like the magnitudes, and put NaN above infinity.
    auto largest = hn::Zero(di);
    for (int64_t j = 0; j < kActivationBlock; j += kLanes) {
      largest = hn::Max(largest, hn::BitCast(di, hn::Abs(hn::LoadU(df, from + j))));
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
        const auto value = hn::NearestInt(hn::Mul(hn::LoadU(df, from + j), factor));
        total = hn::Add(total, value);
        hn::StoreU(hn::DemoteTo(d8, value), d8, out + j);
      }
      sums[half] = hn::GetLane(hn::SumOfLanes(di, total));
    }
    if (inverse == 0) {  // inf * 0 was no number
      std::memset(out, 0, kActivationBlock);
      sums[0] = sums[1] = 0;
    }
    scales[block * rows + m] = scale;
    sums_32[block * rows + m] = scale * static_cast<float>(sums[0] + sums[1]);
    sums_16[2 * block * rows + m] = scale * static_cast<float>(sums[0]);
    sums_16[(2 * block + 1) * rows + m] = scale * static_cast<float>(sums[1]);
    bias[block * rows + m] = -128 * (sums[0] + sums[1]);
    bias_16[2 * block * rows + m] = -128 * sums[0];
    bias_16[(2 * block + 1) * rows + m] = -128 * sums[1];
  }
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

Int8Tile::Int8Tile(const std::byte* tile, int64_t rows, int64_t k) {
  const int64_t blocks = k / kActivationBlock * rows;
  values = reinterpret_cast<const int8_t*>(tile);
  scales = reinterpret_cast<const float*>(tile + blocks * kActivationBlock);
  sums_32 = scales + blocks;
  sums_16 = sums_32 + blocks;
  bias = reinterpret_cast<const int32_t*>(sums_16 + 2 * blocks);
  bias_16 = bias + blocks;
}

size_t activation_row_bytes(ActivationElement element, int64_t k) {
  const auto elements = static_cast<size_t>(k);
  switch (element) {
    case ActivationElement::floats: return elements * sizeof(float);
    case ActivationElement::int8: return elements + elements / 32 * 7 * sizeof(float);
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
    else HWY_DYNAMIC_DISPATCH(round_row)(from[m], k, m, rows, tile);
  }
}

}  // namespace weft
#endif

#include "ops/cpu/encode_tile.h"

#include <algorithm>
#include <bit>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/encode_tile.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "ops/cpu/decode-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

using DI = hn::RebindToSigned<DF>;
using VI = hn::Vec<DI>;

// The steps of f32_to_f16, for positive integers as signed ones. (Highway's own conversion differs between targets for
// what is not finite.)
HWY_INLINE VI float_to_half(VF value) {
  const DF df;
  const DI di;
  const VI bits = hn::BitCast(di, value);
  const VI magnitude = hn::And(bits, hn::Set(di, 0x7fffffff));
  const VI sign = hn::And(hn::ShiftRight<16>(bits), hn::Set(di, 0x8000));
  const VI odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(di, 1));
  const VI normal = hn::ShiftRight<13>(hn::Add(hn::Add(magnitude, odd), hn::Set(di, 0xfff - 0x38000000)));
  const VI small =
      hn::Sub(hn::BitCast(di, hn::Add(hn::BitCast(df, magnitude), hn::Set(df, 0.5f))), hn::Set(di, 0x3f000000));
  VI half = hn::IfThenElse(hn::Lt(magnitude, hn::Set(di, 0x38800000)), small, normal);
  half = hn::IfThenElse(hn::Gt(magnitude, hn::Set(di, 0x477fefff)), hn::Set(di, 0x7c00), half);
  half = hn::IfThenElse(hn::Gt(magnitude, hn::Set(di, 0x7f800000)), hn::Set(di, 0x7e00), half);
  return hn::Or(half, sign);
}

HWY_INLINE VI float_to_bf16(VF value) {
  const DI di;
  const VI bits = hn::BitCast(di, value);
  const VI upper = hn::And(hn::ShiftRight<16>(bits), hn::Set(di, 0xffff));
  const VI odd = hn::And(upper, hn::Set(di, 1));
  const VI rounded = hn::And(hn::ShiftRight<16>(hn::Add(hn::Add(bits, odd), hn::Set(di, 0x7fff))), hn::Set(di, 0xffff));
  const auto is_nan = hn::Gt(hn::And(bits, hn::Set(di, 0x7fffffff)), hn::Set(di, 0x7f800000));
  return hn::IfThenElse(is_nan, hn::Or(upper, hn::Set(di, 0x40)), rounded);
}

template <Format kFormat>
HWY_INLINE void encode_plain(const float* in, int64_t count, std::byte* out) {
  const DF df;
  const DU16 d16;
  auto* to = reinterpret_cast<uint16_t*>(out);
  const auto store = [&](const float* from, uint16_t* at) HWY_ATTR {
    const VF value = hn::LoadU(df, from);
    hn::StoreU(hn::DemoteTo(d16, kFormat == Format::f16 ? float_to_half(value) : float_to_bf16(value)), d16, at);
  };
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(in + i, to + i);
  if (i == count) return;
  float last[kLanes] = {};
  uint16_t encoded[kLanes];
  std::copy_n(in + i, count - i, last);
  store(last, encoded);
  std::memcpy(to + i, encoded, static_cast<size_t>(count - i) * sizeof(uint16_t));
}

// The steps of FormatTraits<Format::q8_0>::encode without its powers of two, which cancel.
HWY_INLINE void encode_q8_0(const float* in, int64_t blocks, std::byte* out) {
  constexpr int64_t kBlock = 32;
  const DF df;
  const DI di;
  const hn::Rebind<int8_t, DF> d8;
  for (; blocks > 0; --blocks, in += kBlock, out += 2 + kBlock) {
    // The bits of magnitudes compare like the magnitudes, and put infinity and NaN above all numbers.
    VI most = hn::Zero(di);
    for (int64_t j = 0; j < kBlock; j += kLanes) {
      most = hn::Max(most, hn::BitCast(di, hn::Abs(hn::LoadU(df, in + j))));
    }
    const int32_t bits = hn::GetLane(hn::MaxOfLanes(di, most));
    const bool is_finite = bits < 0x7f800000;
    const uint16_t scale = is_finite ? f32_to_f16(std::min(std::bit_cast<float>(bits) / 127.0f, 65504.0f)) : 0x7e00;
    std::memcpy(out, &scale, sizeof scale);
    if (!is_finite || scale == 0) {
      std::memset(out + 2, 0, kBlock);
      continue;
    }
    const VF inverse = hn::Set(df, 1.0f / f16_to_f32(scale));
    const VF limit = hn::Set(df, 127.0f);
    for (int64_t j = 0; j < kBlock; j += kLanes) {
      const VF value = hn::Mul(hn::LoadU(df, in + j), inverse);
      const VI level = hn::NearestInt(hn::Max(hn::Min(value, limit), hn::Neg(limit)));
      hn::StoreU(hn::DemoteTo(d8, level), d8, reinterpret_cast<int8_t*>(out) + 2 + j);
    }
  }
}

void encode_any(Format format, const float* in, int64_t count, std::byte* out) {
  if (format == Format::f16) encode_plain<Format::f16>(in, count, out);
  else if (format == Format::bf16) encode_plain<Format::bf16>(in, count, out);
  else encode_q8_0(in, count / 32, out);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {

HWY_EXPORT(encode_any);

void encode_elements(Format format, const float* in, std::byte* data, int64_t first, int64_t count) {
  if (count <= 0) return;
  std::byte* out = data + row_bytes(format, static_cast<size_t>(first));
  if (format == Format::f32) std::memcpy(out, in, static_cast<size_t>(count) * sizeof(float));
  else HWY_DYNAMIC_DISPATCH(encode_any)(format, in, count, out);
}

}  // namespace weft
#endif  // HWY_ONCE

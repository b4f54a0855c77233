#include "ops/decode_tile.h"

#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/decode_tile.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kBlock = 32;

float BlockScale(const std::byte* block) {
  uint16_t bits;
  std::memcpy(&bits, block, sizeof bits);
  return f16_to_f32(bits);
}

// One block of 32: the scale, then 32 int8.
HWY_INLINE void DecodeQ8(const std::byte* block, float* out) {
  const hn::CappedTag<float, kBlock> df;
  const hn::RebindToSigned<decltype(df)> di;
  const hn::Rebind<int8_t, decltype(df)> d8;
  const auto scale = hn::Set(df, BlockScale(block));
  const auto* q = reinterpret_cast<const int8_t*>(block + 2);
  for (size_t i = 0; i < kBlock; i += hn::Lanes(df)) {
    hn::StoreU(hn::Mul(scale, hn::ConvertTo(df, hn::PromoteTo(di, hn::LoadU(d8, q + i)))), df, out + i);
  }
}

// One block of 32: the scale, then 16 bytes whose low nibbles are the first half.
HWY_INLINE void DecodeQ4(const std::byte* block, float* out) {
  const hn::CappedTag<float, kBlock / 2> df;
  const hn::RebindToSigned<decltype(df)> di;
  const hn::Rebind<uint8_t, decltype(df)> d8;
  const auto scale = hn::Set(df, BlockScale(block));
  const auto eight = hn::Set(di, 8);
  const auto* q = reinterpret_cast<const uint8_t*>(block + 2);
  for (size_t i = 0; i < kBlock / 2; i += hn::Lanes(df)) {
    const auto both = hn::PromoteTo(di, hn::LoadU(d8, q + i));
    const auto low = hn::Sub(hn::And(both, hn::Set(di, 15)), eight);
    const auto high = hn::Sub(hn::ShiftRight<4>(both), eight);
    hn::StoreU(hn::Mul(scale, hn::ConvertTo(df, low)), df, out + i);
    hn::StoreU(hn::Mul(scale, hn::ConvertTo(df, high)), df, out + kBlock / 2 + i);
  }
}

void DecodeBlocks(Format format, const std::byte* data, size_t first, size_t count, float* out) {
  const size_t elements = info(format).block_elements, bytes = info(format).block_bytes;
  const auto decode = [&](size_t block, float* to) HWY_ATTR {
    const std::byte* from = data + block * bytes;
    if (format == Format::q8_0) {
      DecodeQ8(from, to);
    } else if (format == Format::q4_0) {
      DecodeQ4(from, to);
    } else {
      decode_row(format, from, elements, to);
    }
  };
  const auto partly = [&](size_t skip, size_t n) HWY_ATTR {
    float whole[kMaxBlockElements];
    decode(first / elements, whole);
    std::copy_n(whole + skip, n, out);
    first += n;
    out += n;
    count -= n;
  };
  if (first % elements != 0) partly(first % elements, std::min(count, elements - first % elements));
  for (; count >= elements; first += elements, out += elements, count -= elements) decode(first / elements, out);
  if (count > 0) partly(0, count);
}

void DecodeF16(const uint16_t* in, size_t count, float* out) {
  const hn::ScalableTag<float> df;
  const hn::Rebind<hwy::float16_t, decltype(df)> d16;
  const size_t lanes = hn::Lanes(df);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::PromoteTo(df, hn::LoadU(d16, reinterpret_cast<const hwy::float16_t*>(in + i))), df, out + i);
  }
  for (; i < count; ++i) out[i] = f16_to_f32(in[i]);
}

void DecodeBf16(const uint16_t* in, size_t count, float* out) {
  const hn::ScalableTag<float> df;
  const hn::Rebind<uint16_t, decltype(df)> d16;
  const hn::RebindToUnsigned<decltype(df)> du;
  const size_t lanes = hn::Lanes(df);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::BitCast(df, hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(d16, in + i)))), df, out + i);
  }
  for (; i < count; ++i) out[i] = bf16_to_f32(in[i]);
}

void DecodeElements(Format format, const std::byte* data, int64_t first, int64_t count, float* out) {
  const auto at = static_cast<size_t>(first);
  const auto n = static_cast<size_t>(count);
  switch (format) {
    case Format::f32: std::memcpy(out, data + 4 * at, 4 * n); break;
    case Format::f16: DecodeF16(reinterpret_cast<const uint16_t*>(data) + at, n, out); break;
    case Format::bf16: DecodeBf16(reinterpret_cast<const uint16_t*>(data) + at, n, out); break;
    case Format::i32:
    case Format::bool8: break;  // not float formats
    default: DecodeBlocks(format, data, at, n, out); break;
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {

HWY_EXPORT(DecodeElements);

void decode_elements(Format format, const std::byte* data, int64_t first, int64_t count, float* out) {
  if (count > 0) HWY_DYNAMIC_DISPATCH(DecodeElements)(format, data, first, count, out);
}

}  // namespace weft
#endif  // HWY_ONCE

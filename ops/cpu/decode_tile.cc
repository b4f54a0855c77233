#include "ops/cpu/decode_tile.h"

#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/decode_tile.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "ops/cpu/decode-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

// A block: its bytes, then each times its scale.
template <Format kFormat>
HWY_INLINE void decode_block(const uint8_t* block, float* out) {
  using Q = Quants<kFormat>;
  constexpr int64_t kScales = Q::kElements / Q::kGrain;
  static_assert(kLanes <= Q::kGrain);
  using Byte = std::conditional_t<Q::kSigned, int8_t, uint8_t>;
  const DF df;
  const hn::Rebind<Byte, DF> d8;
  HWY_ALIGN float scale[kScales], minimum[kScales];
  HWY_ALIGN uint8_t bytes[Q::kElements];
  Q::scales(block, scale, minimum);
  WEFT_UNROLL
  for (int64_t run = 0; run < Q::kElements / kRun; ++run) {
    WEFT_UNROLL
    for (int64_t part = 0; part < kParts; ++part) {
      hn::Store(Q::get(quants::StoredRun{block, part}, run), D8(), bytes + run * kRun + part * kPart);
    }
  }
  for (int64_t i = 0; i < Q::kElements; i += kLanes) {
    const auto byte = hn::LoadU(d8, reinterpret_cast<const Byte*>(bytes) + i);
    const VF value = hn::ConvertTo(df, hn::PromoteTo(hn::RebindToSigned<DF>(), byte));
    const VF by = hn::Set(df, scale[i / Q::kGrain]);
    if constexpr (Q::kMinimum) {
      hn::StoreU(hn::MulSub(value, by, hn::Set(df, minimum[i / Q::kGrain])), df, out + i);
    } else {
      hn::StoreU(hn::Mul(value, by), df, out + i);
    }
  }
}

template <class U>
HWY_INLINE void store_unit(const U& unit, float* out) {
  WEFT_UNROLL
  for (int64_t j = 0; j < kVectors; ++j) hn::StoreU(unit.get(j), DF(), out + j * kLanes);
}

template <Format kFormat>
void decode_blocks_of(const uint8_t* data, size_t first, size_t count, float* out) {
  using Q = Quants<kFormat>;
  constexpr size_t kElements = Q::kElements;
  const uint8_t* block = data + first / kElements * Q::kBytes;
  const auto partly = [&](size_t skip, size_t n) HWY_ATTR {
    float whole[kElements];
    decode_block<kFormat>(block, whole);
    std::copy_n(whole + skip, n, out);
    block += Q::kBytes;
    out += n;
    count -= n;
  };
  if (const size_t skip = first % kElements; skip != 0) partly(skip, std::min(count, kElements - skip));
  for (; count >= kElements; block += Q::kBytes, out += kElements, count -= kElements) {
    if constexpr (has_unit<kFormat>()) store_unit(Unit<kFormat>(block), out);
    else decode_block<kFormat>(block, out);
  }
  if (count > 0) partly(0, count);
}

// Formats without blocks.
template <Format kFormat>
void decode_plain(const uint8_t* data, size_t first, size_t count, float* out) {
  using U = Unit<kFormat>;
  data += row_bytes(kFormat, first);
  size_t i = 0;
  for (; i + kUnit <= count; i += kUnit, data += U::kBytes) {
    store_unit(U(data), out + i);
  }
  constexpr size_t kBytes = FormatTraits<kFormat>::kBytes * static_cast<size_t>(kLanes);
  for (; i + kLanes <= count; i += kLanes, data += kBytes) hn::StoreU(Floats<kFormat>::load(data), DF(), out + i);
  if (i < count) decode_row(kFormat, data, count - i, out + i);
}

template <Format kFormat>
void decode_format(const uint8_t* data, size_t first, size_t count, float* out) {
  if constexpr (kIsPlain<kFormat>) {
    decode_plain<kFormat>(data, first, count, out);
  } else {
    decode_blocks_of<kFormat>(data, first, count, out);
  }
}

template <Format kFormat>
void decode_rows_of(const std::byte* const* rows, int64_t count, int64_t width, float* out) {
  for (int64_t j = 0; j < count; ++j, out += width) {
    decode_format<kFormat>(reinterpret_cast<const uint8_t*>(rows[j]), 0, static_cast<size_t>(width), out);
  }
}

void decode_any_rows(Format format, const std::byte* const* rows, int64_t count, int64_t width, float* out) {
  const auto decode = visit_float_format(format, []<Format kFormat>() { return &decode_rows_of<kFormat>; });
  decode(rows, count, width, out);
}

void decode_any(Format format, const uint8_t* data, size_t first, size_t count, float* out) {
  const auto decode = visit_float_format(format, []<Format kFormat>() { return &decode_format<kFormat>; });
  decode(data, first, count, out);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {

HWY_EXPORT(decode_any);
HWY_EXPORT(decode_any_rows);

void decode_elements(Format format, const std::byte* data, int64_t first, int64_t count, float* out) {
  if (count <= 0) return;
  HWY_DYNAMIC_DISPATCH(decode_any)
  (format, reinterpret_cast<const uint8_t*>(data), static_cast<size_t>(first), static_cast<size_t>(count), out);
}

void decode_rows(Format format, const std::byte* const* rows, int64_t count, int64_t width, float* out) {
  if (count > 0 && width > 0) HWY_DYNAMIC_DISPATCH(decode_any_rows)(format, rows, count, width, out);
}

}  // namespace weft
#endif  // HWY_ONCE

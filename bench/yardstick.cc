#include "bench/yardstick.h"

#include <cstdint>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/yardstick.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "ops/cpu/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

using DF = hn::ScalableTag<float>;

// `count` is a multiple of every vector's length.
template <class F>
HWY_INLINE void each(size_t count, float* HWY_RESTRICT out, const F& function) {
  const DF df;
  for (size_t i = 0; i < count; i += hn::Lanes(df)) hn::StoreU(function(i), df, out + i);
}

void swiglu(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, size_t count, float* HWY_RESTRICT out) {
  const DF df;
  each(count, out, [=](size_t i) HWY_ATTR {
    const auto x = hn::LoadU(df, a + i);
    return hn::Mul(hn::Mul(x, VectorSigmoid(df, x)), hn::LoadU(df, b + i));
  });
}

void add(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, size_t count, float* HWY_RESTRICT out) {
  const DF df;
  each(count, out, [=](size_t i) HWY_ATTR { return hn::Add(hn::LoadU(df, a + i), hn::LoadU(df, b + i)); });
}

void capped_alibi(const float* HWY_RESTRICT x, const float* HWY_RESTRICT slope, size_t rows, size_t columns, float cap,
                  float* HWY_RESTRICT out) {
  const DF df;
  const hn::RebindToSigned<DF> di;
  const auto most = hn::Set(df, cap), inverse = hn::Set(df, 1 / cap);
  for (size_t r = 0; r < rows; ++r) {
    const auto by = hn::Set(df, slope[r]);
    each(columns, out + r * columns, [=](size_t c) HWY_ATTR {
      const auto first = static_cast<int32_t>(rows) - static_cast<int32_t>(r) - static_cast<int32_t>(c);
      const auto distance = hn::ConvertTo(df, hn::Sub(hn::Set(di, first), hn::Iota(di, 0)));
      const auto capped = VectorTanh(df, hn::Mul(hn::LoadU(df, x + r * columns + c), inverse));
      return hn::NegMulAdd(by, distance, hn::Mul(capped, most));
    });
  }
}

void odd(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, size_t count, float* HWY_RESTRICT out) {
  const DF df;
  each(count, out, [=](size_t i) HWY_ATTR {
    const auto x = hn::LoadU(df, a + i), y = hn::LoadU(df, b + i);
    const auto root = hn::Sqrt(hn::Add(hn::Abs(hn::Mul(x, y)), hn::Set(df, 1.0f)));
    const auto power = hn::MulAdd(VectorExp(df, hn::Sub(x, y)), hn::Set(df, 0.5f), y);
    return hn::IfThenElse(hn::Gt(x, y), root, power);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {
HWY_EXPORT(swiglu);
HWY_EXPORT(add);
HWY_EXPORT(capped_alibi);
HWY_EXPORT(odd);
}  // namespace weft

namespace weft::bench::yardstick {

void swiglu(const float* a, const float* b, size_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(weft::swiglu)(a, b, count, out);
}

void add(const float* a, const float* b, size_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(weft::add)(a, b, count, out);
}

void capped_alibi(const float* x, const float* slope, size_t rows, size_t columns, float cap, float* out) {
  HWY_DYNAMIC_DISPATCH(weft::capped_alibi)(x, slope, rows, columns, cap, out);
}

void odd(const float* a, const float* b, size_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(weft::odd)(a, b, count, out);
}

}  // namespace weft::bench::yardstick
#endif

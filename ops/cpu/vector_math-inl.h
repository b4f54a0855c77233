// Elementary functions of f32 vectors, right for every argument: infinities, NaN and large angles included.
// Polynomials are interpolations at Chebyshev nodes; relative error of each in its range is below 2e-8.
//
// Included once per Highway target, like hwy/highway.h.
#if defined(WEFT_OPS_VECTOR_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WEFT_OPS_VECTOR_MATH_INL_H_
#undef WEFT_OPS_VECTOR_MATH_INL_H_
#else
#define WEFT_OPS_VECTOR_MATH_INL_H_
#endif

#include <cmath>
#include <cstdint>
#include <limits>

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// 2^n for n in [-126, 127].
template <class DF, class VI>
HWY_INLINE hn::Vec<DF> PowerOfTwo(DF df, VI n) {
  const hn::RebindToSigned<DF> di;
  return hn::BitCast(df, hn::ShiftLeft<23>(hn::Add(n, hn::Set(di, 127))));
}

// e^x / 2^n - 1, where n is the integer nearest to x / ln 2.
template <class DF, class V>
HWY_INLINE V Expm1OfRest(DF df, V x, V n) {
  V r = hn::NegMulAdd(n, hn::Set(df, 0.693359375f), x);
  r = hn::NegMulAdd(n, hn::Set(df, -2.12194440e-4f), r);
  V q = hn::MulAdd(hn::Set(df, 1.392625039e-03f), r, hn::Set(df, 8.363232948e-03f));
  q = hn::MulAdd(q, r, hn::Set(df, 4.166655242e-02f));
  q = hn::MulAdd(q, r, hn::Set(df, 1.666657627e-01f));
  q = hn::MulAdd(q, r, hn::Set(df, 0.5f));
  return hn::MulAdd(hn::Mul(r, r), q, r);
}

// e^x / 2^n.
template <class DF, class V>
HWY_INLINE V ExpOfRest(DF df, V x, V n) {
  return hn::Add(hn::Set(df, 1.0f), Expm1OfRest(df, x, n));
}

// e^x: 0 for -inf, inf for inf, NaN for NaN; subnormal results are rounded, not flushed. Within 2 ulp.
template <class DF, class V>
HWY_INLINE V VectorExp(DF df, V x) {
  const hn::RebindToSigned<DF> di;
  // Beyond these ends the result is 0 or inf; a NaN passes both comparisons unchanged.
  const V low = hn::Set(df, -104.0f), high = hn::Set(df, 89.0f);
  x = hn::IfThenElse(hn::Lt(x, low), low, x);
  x = hn::IfThenElse(hn::Gt(x, high), high, x);
  const V n = hn::Round(hn::Mul(x, hn::Set(df, 1.44269504f)));
  const V p = ExpOfRest(df, x, n);
  // In two steps, since n reaches from -150 to 128.
  const auto ni = hn::ConvertTo(di, n);
  const auto half = hn::ShiftRight<1>(ni);
  return hn::Mul(hn::Mul(p, PowerOfTwo(df, half)), PowerOfTwo(df, hn::Sub(ni, half)));
}

// e^x for x <= 0: results below 2^-126, which cost a hundred cycles each, are 0; NaN for NaN. Within 2 ulp.
template <class DF, class V>
HWY_INLINE V VectorExpOfNegative(DF df, V x) {
  const hn::RebindToSigned<DF> di;
  // Adding 1.5 * 2^23 rounds to integers, which then are in the low bits.
  const V magic = hn::Set(df, 12582912.0f);
  const V biased = hn::MulAdd(x, hn::Set(df, 1.44269504f), magic);
  const V n = hn::Sub(biased, magic);
  const V p = ExpOfRest(df, x, n);
  const auto power = hn::ShiftLeft<23>(hn::Add(hn::BitCast(di, biased), hn::Set(di, 127)));
  // Of a NaN, `p` is one, too.
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(df, -87.3f)), hn::Mul(p, hn::BitCast(df, power)));
}

// a / d for d in [1, 2], within 1 ulp; NaN where one of them is. With 16 lanes a division takes as long as thirty other
// operations: where these are not as many, an estimate of 14 bits that is refined twice is faster.
template <class DF, class V>
HWY_INLINE V Quotient(DF df, V a, V d) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  V r = hn::ApproximateReciprocal(d);
  r = hn::MulAdd(r, hn::NegMulAdd(d, r, hn::Set(df, 1.0f)), r);
  const V q = hn::Mul(a, r);
  return hn::MulAdd(hn::NegMulAdd(q, d, a), r, q);
#else
  static_cast<void>(df);
  return hn::Div(a, d);
#endif
}

// By e^-|x|, which is at most 1: results below 2^-126 are 0. Within 4 ulp.
template <class DF, class V>
HWY_INLINE V VectorSigmoid(DF df, V x) {
  const V one = hn::Set(df, 1.0f);
  const V z = VectorExpOfNegative(df, hn::Neg(hn::Abs(x)));
  return Quotient(df, hn::IfThenElse(hn::Lt(x, hn::Zero(df)), z, one), hn::Add(one, z));
}

// tanh(|x|) = -m / (2 + m), where m = e^(-2|x|) - 1 is never a difference of near numbers. Within 4 ulp.
template <class DF, class V>
HWY_INLINE V VectorTanh(DF df, V x) {
  const hn::RebindToSigned<DF> di;
  // Beyond -20, the result is 1 already; of a NaN and a number, Max gives the second.
  const V y = hn::Max(hn::Set(df, -20.0f), hn::Mul(hn::Abs(x), hn::Set(df, -2.0f)));
  const V magic = hn::Set(df, 12582912.0f);  // as in VectorExpOfNegative
  const V biased = hn::MulAdd(y, hn::Set(df, 1.44269504f), magic);
  const V rest = Expm1OfRest(df, y, hn::Sub(biased, magic));
  const V power = hn::BitCast(df, hn::ShiftLeft<23>(hn::Add(hn::BitCast(di, biased), hn::Set(di, 127))));
  const V m = hn::MulAdd(rest, power, hn::Sub(power, hn::Set(df, 1.0f)));
  return hn::CopySign(hn::Div(m, hn::Add(m, hn::Set(df, 2.0f))), x);
}

// Natural logarithm: -inf for 0, NaN for negative numbers and NaN, inf for inf.
template <class DF, class V>
HWY_INLINE V VectorLog(DF df, V x) {
  const V zero = hn::Zero(df);
  const V infinity = hn::Set(df, std::numeric_limits<float>::infinity());
  const V nan = hn::Set(df, std::numeric_limits<float>::quiet_NaN());
  V result = hn::Log(df, x);
  result = hn::IfThenElse(hn::Eq(x, zero), hn::Neg(infinity), result);
  result = hn::IfThenElse(hn::Eq(x, infinity), infinity, result);
  return hn::IfThenElse(hn::Ge(x, zero), result, nan);
}

// log(1 + x): x for the smallest, -inf for -1, NaN below that and for NaN, inf for inf.
template <class DF, class V>
HWY_INLINE V VectorLog1p(DF df, V x) {
  const V infinity = hn::Set(df, std::numeric_limits<float>::infinity());
  const V minus_one = hn::Set(df, -1.0f);
  V result = hn::Log1p(df, x);
  result = hn::IfThenElse(hn::Eq(x, minus_one), hn::Neg(infinity), result);
  result = hn::IfThenElse(hn::Eq(x, infinity), infinity, result);
  return hn::IfThenElse(hn::Ge(x, minus_one), result, hn::Set(df, std::numeric_limits<float>::quiet_NaN()));
}

// log(1 + e^x) as max(x, 0) + log1p(e^-|x|), which never overflows; below -87.3, where e^x is no normal number, 0.
template <class DF, class V>
HWY_INLINE V VectorSoftplus(DF df, V x) {
  const V zero = hn::Zero(df);
  const V z = VectorExpOfNegative(df, hn::Neg(hn::Abs(x)));
  return hn::Add(hn::IfThenElse(hn::Lt(x, zero), zero, x), hn::Log1p(df, z));
}

// The error function: x times a polynomial of x^2 up to 1; 1 - e^-g(|x|) beyond, where g is a polynomial near
// -log(erfc). Within 2 ulp.
template <class DF, class V>
HWY_INLINE V VectorErf(DF df, V x) {
  const V s = hn::Mul(x, x);
  V p = hn::MulAdd(hn::Set(df, 7.875875050e-05f), s, hn::Set(df, -8.016864283e-04f));
  p = hn::MulAdd(p, s, hn::Set(df, 5.189087423e-03f));
  p = hn::MulAdd(p, s, hn::Set(df, -2.685421201e-02f));
  p = hn::MulAdd(p, s, hn::Set(df, 1.128359472e-01f));
  p = hn::MulAdd(p, s, hn::Set(df, -3.761262667e-01f));
  p = hn::MulAdd(p, s, hn::Set(df, 1.283791658e-01f));
  const V near = hn::MulAdd(p, x, x);

  // From 4 on the result is 1. A NaN fails every comparison and so becomes the near one.
  const V size = hn::Abs(x);
  const V t = hn::IfThenElse(hn::Gt(size, hn::Set(df, 4.0f)), hn::Set(df, 4.0f), size);
  V g = hn::MulAdd(hn::Set(df, -1.637151416e-06f), t, hn::Set(df, 4.605804272e-05f));
  g = hn::MulAdd(g, t, hn::Set(df, -5.968056259e-04f));
  g = hn::MulAdd(g, t, hn::Set(df, 4.759596294e-03f));
  g = hn::MulAdd(g, t, hn::Set(df, -2.642113601e-02f));
  g = hn::MulAdd(g, t, hn::Set(df, 1.100800830e-01f));
  g = hn::MulAdd(g, t, hn::Set(df, 6.318260516e-01f));
  g = hn::MulAdd(g, t, hn::Set(df, 1.130233435e+00f));
  g = hn::MulAdd(g, t, hn::Set(df, -3.201380503e-04f));
  const V one = hn::Set(df, 1.0f);
  const V far = hn::CopySign(hn::Sub(one, VectorExpOfNegative(df, hn::Neg(g))), x);
  return hn::IfThenElse(hn::Gt(size, one), far, near);
}

// Angles up to this magnitude are reduced in vectors of f64; beyond it, std::sin and std::cos of the double.
inline constexpr float kMaxVectorAngle = 1e6f;

// x - n * pi/2 for the nearest n, for half a vector: r in f32, n in i32. pi/2 is split so that n * its upper part
// is exact in f64.
template <class DD, class VH, class VI>
HWY_INLINE void ReduceAngle(DD dd, VH x, VH& r, VI& n) {
  const hn::Rebind<float, DD> dh;
  const hn::Rebind<int32_t, DD> dih;
  const auto wide = hn::PromoteTo(dd, x);
  const auto count = hn::Round(hn::Mul(wide, hn::Set(dd, 0x1.45f306dc9c883p-1)));
  auto rest = hn::NegMulAdd(count, hn::Set(dd, 0x1.921fb544p+0), wide);
  rest = hn::NegMulAdd(count, hn::Set(dd, 0x1.0b4611a626331p-34), rest);
  r = hn::DemoteTo(dh, rest);
  n = hn::DemoteTo(dih, count);
}

// sin and cos of angles within kMaxVectorAngle.
template <class DF, class V>
HWY_INLINE void SinCosInRange(DF df, V x, V& sin, V& cos) {
  const hn::RebindToSigned<DF> di;
  const hn::Half<DF> dh;
  const hn::Half<decltype(di)> dih;
  const hn::Rebind<double, decltype(dh)> dd;
  hn::Vec<decltype(dh)> r_low, r_high;
  hn::Vec<decltype(dih)> n_low, n_high;
  ReduceAngle(dd, hn::LowerHalf(dh, x), r_low, n_low);
  ReduceAngle(dd, hn::UpperHalf(dh, x), r_high, n_high);
  const V r = hn::Combine(df, r_high, r_low);
  const auto n = hn::Combine(di, n_high, n_low);

  const V z = hn::Mul(r, r);
  V s = hn::MulAdd(hn::Set(df, -1.958738721e-04f), z, hn::Set(df, 8.332746103e-03f));
  s = hn::MulAdd(s, z, hn::Set(df, -1.666666418e-01f));
  s = hn::MulAdd(hn::Mul(r, z), s, r);
  V c = hn::MulAdd(hn::Set(df, 2.454743662e-05f), z, hn::Set(df, -1.388830016e-03f));
  c = hn::MulAdd(c, z, hn::Set(df, 4.166666418e-02f));
  c = hn::MulAdd(hn::Mul(z, z), c, hn::NegMulAdd(hn::Set(df, 0.5f), z, hn::Set(df, 1.0f)));

  // Quadrant n mod 4: an odd one swaps the two; sin is negative in 2 and 3, cos in 1 and 2.
  const auto odd = hn::RebindMask(df, hn::Ne(hn::And(n, hn::Set(di, 1)), hn::Zero(di)));
  const auto sin_sign = hn::ShiftLeft<30>(hn::And(n, hn::Set(di, 2)));
  const auto cos_sign = hn::ShiftLeft<30>(hn::And(hn::Add(n, hn::Set(di, 1)), hn::Set(di, 2)));
  sin = hn::Xor(hn::IfThenElse(odd, c, s), hn::BitCast(df, sin_sign));
  cos = hn::Xor(hn::IfThenElse(odd, s, c), hn::BitCast(df, cos_sign));
}

template <class DF, class V>
HWY_INLINE void VectorSinCos(DF df, V x, V& sin, V& cos) {
  if (HWY_LIKELY(hn::AllTrue(df, hn::Le(hn::Abs(x), hn::Set(df, kMaxVectorAngle))))) {
    SinCosInRange(df, x, sin, cos);
    return;
  }
  HWY_ALIGN float angles[HWY_MAX_BYTES / sizeof(float)];
  HWY_ALIGN float sines[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(x, df, angles);
  for (size_t i = 0; i < hn::Lanes(df); ++i) {
    const double angle = static_cast<double>(angles[i]);
    sines[i] = static_cast<float>(std::sin(angle));
    angles[i] = static_cast<float>(std::cos(angle));
  }
  sin = hn::Load(df, sines);
  cos = hn::Load(df, angles);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#endif  // WEFT_OPS_VECTOR_MATH_INL_H_

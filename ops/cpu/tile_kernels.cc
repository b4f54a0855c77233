#include "ops/cpu/tile_kernels.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/tile_kernels.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "ops/cpu/tile_stream-inl.h"
#include "ops/cpu/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

struct Arguments {
  Arguments(const TileProgram::Operation& op, const TileSlot* slots, int64_t base, int64_t count)
      : a(slots[op.a], base),
        b(slots[op.b], base),
        c(slots[op.c], base),
        out(const_cast<std::byte*>(Stream(slots[op.out], base).data)),
        n(static_cast<size_t>(count)) {}

  float* out_f32() const { return reinterpret_cast<float*>(out); }
  int32_t* out_i32() const { return reinterpret_cast<int32_t*>(out); }

  Stream a, b, c;
  std::byte* out;
  size_t n;
};

// `function` gets the element's place and holds copies of its arguments: through a reference to them they would be
// read again after each store. In steps of kTileLanes, which may be several vectors.
template <class F>
HWY_INLINE void EachF32(const Arguments& s, const F function) {
  const DF df;
  float* HWY_RESTRICT out = s.out_f32();
  for (size_t i = 0; i < s.n; i += kTileLanes) {
    for (size_t j = i; j < i + kTileLanes; j += hn::Lanes(df)) hn::StoreU(function(j), df, out + j);
  }
}

template <class F>
HWY_INLINE void EachI32(const Arguments& s, const F function) {
  const DI di;
  int32_t* HWY_RESTRICT out = s.out_i32();
  for (size_t i = 0; i < s.n; i += kTileLanes) {
    for (size_t j = i; j < i + kTileLanes; j += hn::Lanes(di)) hn::StoreU(function(j), di, out + j);
  }
}

template <class F>
HWY_INLINE void Unary(Arguments s, const F& function) {
  EachF32(s, [a = s.a, function](size_t i) HWY_ATTR { return function(a.f32(i)); });
}

template <class F>
HWY_INLINE void Binary(Arguments s, const F& function) {
  // Both arguments run along in the most frequent case, without masks on their addresses.
  if ((s.a.mask & s.b.mask) != 0) {
    const DF df;
    const auto *a = reinterpret_cast<const float*>(s.a.data), *b = reinterpret_cast<const float*>(s.b.data);
    EachF32(s,
            [a, b, df, function](size_t i) HWY_ATTR { return function(hn::LoadU(df, a + i), hn::LoadU(df, b + i)); });
    return;
  }
  EachF32(s, [a = s.a, b = s.b, function](size_t i) HWY_ATTR { return function(a.f32(i), b.f32(i)); });
}

template <class F>
HWY_INLINE void BinaryI32(Arguments s, const F& function) {
  EachI32(s, [a = s.a, b = s.b, function](size_t i) HWY_ATTR { return function(a.i32(i), b.i32(i)); });
}

HWY_INLINE VI MaskLanes(MF mask) { return hn::VecFromMask(DI(), hn::RebindMask(DI(), mask)); }

template <class F>
HWY_INLINE void CompareF32(const Arguments& s, const F& function) {
  EachI32(s, [a = s.a, b = s.b, function](size_t i) HWY_ATTR { return MaskLanes(function(a.f32(i), b.f32(i))); });
}

template <class F>
HWY_INLINE void CompareI32(const Arguments& s, const F& function) {
  EachI32(s, [a = s.a, b = s.b, function](size_t i)
                 HWY_ATTR { return hn::VecFromMask(DI(), function(a.i32(i), b.i32(i))); });
}

// What has no vector form: one element at a time, and a uniform value once.
template <class T, class F>
HWY_INLINE void Scalars(const Arguments& s, const F& function) {
  T* out = reinterpret_cast<T*>(s.out);
  if ((s.a.mask | s.b.mask) == 0) {
    const T value = function(s.a.scalar<T>(0), s.b.scalar<T>(0));
    for (size_t i = 0; i < s.n; ++i) out[i] = value;
    return;
  }
  for (size_t i = 0; i < s.n; ++i) out[i] = function(s.a.scalar<T>(i), s.b.scalar<T>(i));
}

HWY_INLINE VI TruncateSaturated(VF x) {
  const DF df;
  const DI di;
  // What is out of range is replaced before the conversion, whose result differs between targets there.
  const MF high = hn::Ge(x, hn::Set(df, 2147483648.0f));
  const MF low = hn::Lt(x, hn::Set(df, -2147483648.0f));
  const MF nan = hn::IsNaN(x);
  const VF safe = hn::IfThenElse(hn::Or(nan, hn::Or(high, low)), hn::Zero(df), x);
  VI result = hn::ConvertTo(di, safe);
  result = hn::IfThenElse(hn::RebindMask(di, high), hn::Set(di, std::numeric_limits<int32_t>::max()), result);
  return hn::IfThenElse(hn::RebindMask(di, low), hn::Set(di, std::numeric_limits<int32_t>::min()), result);
}

// Half a vector of a / b, truncated: exact, since the quotient of two i32 is either an integer or further from the
// next one than f64 rounds. An infinity or NaN, where b is 0, gives anything.
template <class VH>
HWY_INLINE VH HalfQuotient(VH a, VH b) {
  const hn::Half<DI> dih;
  const hn::Rebind<double, decltype(dih)> dd;
  return hn::DemoteTo(dih, hn::Div(hn::PromoteTo(dd, a), hn::PromoteTo(dd, b)));
}

HWY_INLINE VI Quotient(VI a, VI b) {
  const DI di;
  const hn::Half<DI> dih;
  const VI quotient = hn::Combine(di, HalfQuotient(hn::UpperHalf(dih, a), hn::UpperHalf(dih, b)),
                                  HalfQuotient(hn::LowerHalf(dih, a), hn::LowerHalf(dih, b)));
  // The lowest number over -1 wraps; over 0, the quotient is 0.
  const VI wrapped = hn::IfThenElse(hn::Eq(b, hn::Set(di, -1)), hn::Sub(hn::Zero(di), a), quotient);
  return hn::IfThenZeroElse(hn::Eq(b, hn::Zero(di)), wrapped);
}

HWY_INLINE VI Remainder(VI a, VI b) {
  return hn::IfThenZeroElse(hn::Eq(b, hn::Zero(DI())), hn::Sub(a, hn::Mul(Quotient(a, b), b)));
}

HWY_INLINE VF MaskToF32(VI lanes) {
  const DF df;
  return hn::BitCast(df, hn::And(lanes, hn::BitCast(DI(), hn::Set(df, 1.0f))));
}

void Cast(const Arguments& s, Element from, Element to) {
  const DF df;
  const DI di;
  const Stream a = s.a;
  if (from == to) return EachI32(s, [a](size_t i) HWY_ATTR { return a.i32(i); });
  if (to == Element::f32 && from == Element::i32) {
    return EachF32(s, [a, df](size_t i) HWY_ATTR { return hn::ConvertTo(df, a.i32(i)); });
  }
  if (to == Element::f32) return EachF32(s, [a](size_t i) HWY_ATTR { return MaskToF32(a.i32(i)); });
  if (to == Element::i32 && from == Element::f32) {
    return EachI32(s, [a](size_t i) HWY_ATTR { return TruncateSaturated(a.f32(i)); });
  }
  if (to == Element::i32) {
    return EachI32(s, [a, di](size_t i) HWY_ATTR { return hn::And(a.i32(i), hn::Set(di, 1)); });
  }
  if (from == Element::f32) {  // not Ne(), which on some targets is false for a NaN
    return EachI32(s, [a, df](size_t i) HWY_ATTR { return MaskLanes(hn::Not(hn::Eq(a.f32(i), hn::Zero(df)))); });
  }
  EachI32(s, [a, di](size_t i) HWY_ATTR { return hn::VecFromMask(di, hn::Ne(a.i32(i), hn::Zero(di))); });
}

void RunF32(ScalarOp op, const Arguments& s) {
  const DF df;
  switch (op) {
    case ScalarOp::neg: return Unary(s, [](VF a) HWY_ATTR { return hn::Neg(a); });
    case ScalarOp::abs: return Unary(s, [](VF a) HWY_ATTR { return hn::Abs(a); });
    case ScalarOp::exp: return Unary(s, [df](VF a) HWY_ATTR { return VectorExp(df, a); });
    case ScalarOp::log: return Unary(s, [df](VF a) HWY_ATTR { return VectorLog(df, a); });
    case ScalarOp::sqrt: return Unary(s, [](VF a) HWY_ATTR { return hn::Sqrt(a); });
    case ScalarOp::rsqrt: return Unary(s, [df](VF a) HWY_ATTR { return hn::Div(hn::Set(df, 1.0f), hn::Sqrt(a)); });
    case ScalarOp::tanh: return Unary(s, [df](VF a) HWY_ATTR { return VectorTanh(df, a); });
    case ScalarOp::sigmoid: return Unary(s, [df](VF a) HWY_ATTR { return VectorSigmoid(df, a); });
    case ScalarOp::sin:
      return Unary(s, [df](VF a) HWY_ATTR {
        VF sin, cos;
        VectorSinCos(df, a, sin, cos);
        return sin;
      });
    case ScalarOp::cos:
      return Unary(s, [df](VF a) HWY_ATTR {
        VF sin, cos;
        VectorSinCos(df, a, sin, cos);
        return cos;
      });
    case ScalarOp::floor: return Unary(s, [](VF a) HWY_ATTR { return hn::Floor(a); });
    case ScalarOp::add: return Binary(s, [](VF a, VF b) HWY_ATTR { return hn::Add(a, b); });
    case ScalarOp::sub: return Binary(s, [](VF a, VF b) HWY_ATTR { return hn::Sub(a, b); });
    case ScalarOp::mul: return Binary(s, [](VF a, VF b) HWY_ATTR { return hn::Mul(a, b); });
    case ScalarOp::div: return Binary(s, [](VF a, VF b) HWY_ATTR { return hn::Div(a, b); });
    case ScalarOp::min: return Binary(s, [](VF a, VF b) HWY_ATTR { return hn::IfThenElse(hn::Lt(a, b), a, b); });
    case ScalarOp::max: return Binary(s, [](VF a, VF b) HWY_ATTR { return hn::IfThenElse(hn::Gt(a, b), a, b); });
    case ScalarOp::mod: return Scalars<float>(s, [](float a, float b) { return std::fmod(a, b); });
    case ScalarOp::pow:
      return Scalars<float>(s, [](float a, float b) {
        return static_cast<float>(std::pow(static_cast<double>(a), static_cast<double>(b)));
      });
    default: return;
  }
}

void RunI32(ScalarOp op, const Arguments& s) {
  const DI di;
  switch (op) {
    case ScalarOp::neg: return EachI32(s, [a = s.a, di](size_t i) HWY_ATTR { return hn::Sub(hn::Zero(di), a.i32(i)); });
    case ScalarOp::abs: return EachI32(s, [a = s.a](size_t i) HWY_ATTR { return hn::Abs(a.i32(i)); });
    case ScalarOp::add: return BinaryI32(s, [](VI a, VI b) HWY_ATTR { return hn::Add(a, b); });
    case ScalarOp::sub: return BinaryI32(s, [](VI a, VI b) HWY_ATTR { return hn::Sub(a, b); });
    case ScalarOp::mul: return BinaryI32(s, [](VI a, VI b) HWY_ATTR { return hn::Mul(a, b); });
    case ScalarOp::min: return BinaryI32(s, [](VI a, VI b) HWY_ATTR { return hn::Min(a, b); });
    case ScalarOp::max: return BinaryI32(s, [](VI a, VI b) HWY_ATTR { return hn::Max(a, b); });
    case ScalarOp::div: return BinaryI32(s, [](VI a, VI b) HWY_ATTR { return Quotient(a, b); });
    case ScalarOp::mod: return BinaryI32(s, [](VI a, VI b) HWY_ATTR { return Remainder(a, b); });
    default: return;
  }
}

void RunCompare(ScalarOp op, Element type, const Arguments& s) {
  if (type == Element::f32) {
    switch (op) {
      case ScalarOp::eq: return CompareF32(s, [](VF a, VF b) HWY_ATTR { return hn::Eq(a, b); });
      case ScalarOp::ne: return CompareF32(s, [](VF a, VF b) HWY_ATTR { return hn::Not(hn::Eq(a, b)); });
      case ScalarOp::lt: return CompareF32(s, [](VF a, VF b) HWY_ATTR { return hn::Lt(a, b); });
      case ScalarOp::le: return CompareF32(s, [](VF a, VF b) HWY_ATTR { return hn::Le(a, b); });
      case ScalarOp::gt: return CompareF32(s, [](VF a, VF b) HWY_ATTR { return hn::Gt(a, b); });
      default: return CompareF32(s, [](VF a, VF b) HWY_ATTR { return hn::Ge(a, b); });
    }
  }
  // A bool8 lane is 0 or -1 and orders the other way round: a < b is b < a of the lanes.
  Arguments t = s;
  if (type == Element::bool8) std::swap(t.a, t.b);
  switch (op) {
    case ScalarOp::eq: return CompareI32(t, [](VI a, VI b) HWY_ATTR { return hn::Eq(a, b); });
    case ScalarOp::ne: return CompareI32(t, [](VI a, VI b) HWY_ATTR { return hn::Ne(a, b); });
    case ScalarOp::lt: return CompareI32(t, [](VI a, VI b) HWY_ATTR { return hn::Lt(a, b); });
    case ScalarOp::le: return CompareI32(t, [](VI a, VI b) HWY_ATTR { return hn::Not(hn::Gt(a, b)); });
    case ScalarOp::gt: return CompareI32(t, [](VI a, VI b) HWY_ATTR { return hn::Gt(a, b); });
    default: return CompareI32(t, [](VI a, VI b) HWY_ATTR { return hn::Not(hn::Lt(a, b)); });
  }
}

void RunScalarOp(const TileProgram::Operation& op, const Arguments& s) {
  const DF df;
  switch (op.scalar) {
    case ScalarOp::cast: return Cast(s, op.argument, op.type);
    case ScalarOp::logical_not: return EachI32(s, [a = s.a](size_t i) HWY_ATTR { return hn::Not(a.i32(i)); });
    case ScalarOp::logical_and: return BinaryI32(s, [](VI a, VI b) HWY_ATTR { return hn::And(a, b); });
    case ScalarOp::logical_or: return BinaryI32(s, [](VI a, VI b) HWY_ATTR { return hn::Or(a, b); });
    case ScalarOp::select:
      if (op.type == Element::f32) {
        return EachF32(s, [a = s.a, b = s.b, c = s.c, df](size_t i) HWY_ATTR {
          return hn::IfThenElse(hn::MaskFromVec(hn::BitCast(df, a.i32(i))), b.f32(i), c.f32(i));
        });
      }
      return EachI32(s, [a = s.a, b = s.b, c = s.c](size_t i)
                            HWY_ATTR { return hn::IfThenElse(hn::MaskFromVec(a.i32(i)), b.i32(i), c.i32(i)); });
    case ScalarOp::eq:
    case ScalarOp::ne:
    case ScalarOp::lt:
    case ScalarOp::le:
    case ScalarOp::gt:
    case ScalarOp::ge: return RunCompare(op.scalar, op.argument, s);
    default: break;
  }
  if (op.argument == Element::f32) return RunF32(op.scalar, s);
  if (op.argument == Element::i32) return RunI32(op.scalar, s);
  // min and max of bools: and, or; the lanes order the other way round.
  if (op.scalar == ScalarOp::min) return BinaryI32(s, [](VI a, VI b) HWY_ATTR { return hn::And(a, b); });
  if (op.scalar == ScalarOp::max) return BinaryI32(s, [](VI a, VI b) HWY_ATTR { return hn::Or(a, b); });
}

void RunTileOperations(const TileProgram::Operation* operations, const uint16_t* order, size_t count,
                       const TileSlot* slots, int64_t base, int64_t n) {
  const DF df;
  const DI di;
  for (size_t k = 0; k < count; ++k) {
    const TileProgram::Operation& op = operations[order[k]];
    const Arguments s(op, slots, base, n);
    switch (op.op) {
      case TileProgram::Op::scalar: RunScalarOp(op, s); break;
      case TileProgram::Op::iota: {
        const auto first = static_cast<int32_t>(slots[op.out].first + base);
        EachI32(s, [first, di](size_t i) HWY_ATTR { return hn::Iota(di, first + static_cast<int32_t>(i)); });
        break;
      }
      case TileProgram::Op::load_bool: {
        const auto* bytes = reinterpret_cast<const uint8_t*>(slots[op.out].bytes + base);
        const hn::Rebind<uint8_t, DI> du8;
        EachI32(s, [bytes, di, du8](size_t i) HWY_ATTR {
          const VI lanes = hn::PromoteTo(di, hn::LoadU(du8, bytes + i));
          return hn::VecFromMask(di, hn::Ne(lanes, hn::Zero(di)));
        });
        break;
      }
      case TileProgram::Op::silu: Unary(s, [df](VF a) HWY_ATTR { return hn::Mul(a, VectorSigmoid(df, a)); }); break;
      case TileProgram::Op::silu_mul:
        Binary(s, [df](VF a, VF b) HWY_ATTR { return hn::Mul(hn::Mul(a, VectorSigmoid(df, a)), b); });
        break;
      case TileProgram::Op::mul_mul:
        EachF32(s, [a = s.a, b = s.b, c = s.c](size_t i)
                       HWY_ATTR { return hn::Mul(hn::Mul(a.f32(i), b.f32(i)), c.f32(i)); });
        break;
    }
  }
}

void StoreTileBools(const void* masks, int64_t n, void* bytes) {
  const auto* lanes = static_cast<const int32_t*>(masks);
  auto* out = static_cast<uint8_t*>(bytes);
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<uint8_t>(lanes[i] & 1);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {

HWY_EXPORT(RunTileOperations);
HWY_EXPORT(StoreTileBools);

void run_tile_operations(const TileProgram::Operation* operations, const uint16_t* order, size_t count,
                         const TileSlot* slots, int64_t base, int64_t n) {
  HWY_DYNAMIC_DISPATCH(RunTileOperations)(operations, order, count, slots, base, n);
}

void store_tile_bools(const void* masks, int64_t n, void* bytes) {
  HWY_DYNAMIC_DISPATCH(StoreTileBools)(masks, n, bytes);
}

}  // namespace weft
#endif  // HWY_ONCE

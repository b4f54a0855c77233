#include "ops/cpu/tile_kernels.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "core/format/format.h"

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

constexpr size_t kLanesEach = hn::MaxLanes(DF());

HWY_INLINE const float* floats_at(const TileSlot* slot, size_t at) {
  return reinterpret_cast<const float*>(slot->data) + (at & slot->base_mask);
}

// An operand in memory: consecutive elements, or one that all have.
template <bool kUniform>
struct InMemory {
  HWY_INLINE InMemory(const TileSlot* slot, size_t at, const std::byte* uniforms) {
    if constexpr (kUniform) all = hn::Set(DF(), *reinterpret_cast<const float*>(uniforms + slot->uniform_at));
    else data = floats_at(slot, at);
  }
  HWY_INLINE VF operator()(size_t k) const {
    if constexpr (kUniform) return all;
    else return hn::LoadU(DF(), data + k * kLanesEach);
  }
  const float* data = nullptr;
  VF all;
};

HWY_INLINE VI ints(VF v) { return hn::BitCast(DI(), v); }
HWY_INLINE VF bits(VI v) { return hn::BitCast(DF(), v); }
HWY_INLINE VF lanes_of(MF mask) { return hn::VecFromMask(DF(), mask); }
template <class M>
HWY_INLINE VF int_lanes_of(M mask) {
  return bits(hn::VecFromMask(DI(), mask));
}

// What has no vector form: one element at a time.
template <class F>
HWY_INLINE VF by_element(VF a, VF b, const F& function) {
  HWY_ALIGN float x[kLanesEach], y[kLanesEach];
  hn::Store(a, DF(), x);
  hn::Store(b, DF(), y);
  for (size_t i = 0; i < kLanesEach; ++i) x[i] = function(x[i], y[i]);
  return hn::Load(DF(), x);
}

template <Element kFrom, Element kTo>
HWY_INLINE VF Cast(VF a) {
  const DF df;
  const DI di;
  if constexpr (kFrom == kTo) return a;
  else if constexpr (kTo == Element::f32 && kFrom == Element::i32) return hn::ConvertTo(df, ints(a));
  else if constexpr (kTo == Element::f32) return MaskToF32(ints(a));
  else if constexpr (kTo == Element::i32 && kFrom == Element::f32) return bits(TruncateSaturated(a));
  else if constexpr (kTo == Element::i32) return bits(hn::And(ints(a), hn::Set(di, 1)));
  else if constexpr (kFrom == Element::f32) return lanes_of(hn::Not(hn::Eq(a, hn::Zero(df))));  // not Ne() for a NaN
  else return int_lanes_of(hn::Ne(ints(a), hn::Zero(di)));
}

// Functions of one argument, by its type.
template <ScalarOp kOp, Element kType>
HWY_INLINE VF Unary(VF a) {
  const DF df;
  const DI di;
  if constexpr (kOp == ScalarOp::logical_not) return bits(hn::Not(ints(a)));
  else if constexpr (kType == Element::i32 && kOp == ScalarOp::neg) return bits(hn::Sub(hn::Zero(di), ints(a)));
  else if constexpr (kType == Element::i32) return bits(hn::Abs(ints(a)));
  else if constexpr (kOp == ScalarOp::neg) return hn::Neg(a);
  else if constexpr (kOp == ScalarOp::abs) return hn::Abs(a);
  else if constexpr (kOp == ScalarOp::exp) return VectorExp(df, a);
  else if constexpr (kOp == ScalarOp::log) return VectorLog(df, a);
  else if constexpr (kOp == ScalarOp::log1p) return VectorLog1p(df, a);
  else if constexpr (kOp == ScalarOp::sqrt) return hn::Sqrt(a);
  else if constexpr (kOp == ScalarOp::rsqrt) return hn::Div(hn::Set(df, 1.0f), hn::Sqrt(a));
  else if constexpr (kOp == ScalarOp::tanh) return VectorTanh(df, a);
  else if constexpr (kOp == ScalarOp::sigmoid) return VectorSigmoid(df, a);
  else if constexpr (kOp == ScalarOp::softplus) return VectorSoftplus(df, a);
  else if constexpr (kOp == ScalarOp::erf) return VectorErf(df, a);
  else if constexpr (kOp == ScalarOp::floor) return hn::Floor(a);
  else {
    VF sin, cos;
    VectorSinCos(df, a, sin, cos);
    return kOp == ScalarOp::sin ? sin : cos;
  }
}

template <ScalarOp kOp>
HWY_INLINE VF BinaryF32(VF a, VF b) {
  if constexpr (kOp == ScalarOp::add) return hn::Add(a, b);
  else if constexpr (kOp == ScalarOp::sub) return hn::Sub(a, b);
  else if constexpr (kOp == ScalarOp::mul) return hn::Mul(a, b);
  else if constexpr (kOp == ScalarOp::div) return hn::Div(a, b);
  else if constexpr (kOp == ScalarOp::min) return hn::IfThenElse(hn::Lt(a, b), a, b);
  else if constexpr (kOp == ScalarOp::max) return hn::IfThenElse(hn::Gt(a, b), a, b);
  else if constexpr (kOp == ScalarOp::mod) return by_element(a, b, [](float x, float y) { return std::fmod(x, y); });
  else if constexpr (kOp == ScalarOp::pow) {
    return by_element(a, b, [](float x, float y) {
      return static_cast<float>(std::pow(static_cast<double>(x), static_cast<double>(y)));
    });
  } else if constexpr (kOp == ScalarOp::eq) return lanes_of(hn::Eq(a, b));
  else if constexpr (kOp == ScalarOp::ne) return lanes_of(hn::Not(hn::Eq(a, b)));
  else if constexpr (kOp == ScalarOp::lt) return lanes_of(hn::Lt(a, b));
  else if constexpr (kOp == ScalarOp::le) return lanes_of(hn::Le(a, b));
  else if constexpr (kOp == ScalarOp::gt) return lanes_of(hn::Gt(a, b));
  else return lanes_of(hn::Ge(a, b));
}

template <ScalarOp kOp>
HWY_INLINE VF BinaryI32(VF x, VF y) {
  const VI a = ints(x), b = ints(y);
  if constexpr (kOp == ScalarOp::add) return bits(hn::Add(a, b));
  else if constexpr (kOp == ScalarOp::sub) return bits(hn::Sub(a, b));
  else if constexpr (kOp == ScalarOp::mul) return bits(hn::Mul(a, b));
  else if constexpr (kOp == ScalarOp::div) return bits(Quotient(a, b));
  else if constexpr (kOp == ScalarOp::mod) return bits(Remainder(a, b));
  else if constexpr (kOp == ScalarOp::min) return bits(hn::Min(a, b));
  else if constexpr (kOp == ScalarOp::max) return bits(hn::Max(a, b));
  else if constexpr (kOp == ScalarOp::eq) return int_lanes_of(hn::Eq(a, b));
  else if constexpr (kOp == ScalarOp::ne) return int_lanes_of(hn::Ne(a, b));
  else if constexpr (kOp == ScalarOp::lt) return int_lanes_of(hn::Lt(a, b));
  else if constexpr (kOp == ScalarOp::le) return int_lanes_of(hn::Not(hn::Gt(a, b)));
  else if constexpr (kOp == ScalarOp::gt) return int_lanes_of(hn::Gt(a, b));
  else return int_lanes_of(hn::Not(hn::Lt(a, b)));
}

template <ScalarOp kOp, Element kType>
HWY_INLINE VF Binary(VF a, VF b) {
  constexpr bool kCompares = kOp >= ScalarOp::eq && kOp <= ScalarOp::ge;
  if constexpr (kType == Element::f32) return BinaryF32<kOp>(a, b);
  else if constexpr (kType == Element::i32) return BinaryI32<kOp>(a, b);
  // A bool8 lane is 0 or -1 and orders the other way round: a < b is b < a of the lanes.
  else if constexpr (kCompares) return BinaryI32<kOp>(b, a);
  else if constexpr (kOp == ScalarOp::min || kOp == ScalarOp::logical_and) return hn::And(a, b);
  else return hn::Or(a, b);
}

// Elements of a table: at ids times its stride, plus offsets. What is outside of it is not read, and 0.
HWY_INLINE VF LookUp(const TileTable& table, VF ids, VF offsets) {
  const DI di;
  const auto inside = hn::AndNot(hn::Lt(ints(ids), hn::Zero(di)), hn::Lt(ints(ids), hn::Set(di, table.extent)));
  const VI at = hn::Add(hn::Mul(ints(ids), hn::Set(di, table.stride)), ints(offsets));
  if ((table.format == Format::f32 || table.format == Format::i32) && table.extent > 0) {
    const auto* elements = reinterpret_cast<const int32_t*>(table.data);
    return bits(hn::IfThenElseZero(inside, hn::GatherIndex(di, elements, hn::IfThenElseZero(inside, at))));
  }
  HWY_ALIGN int32_t where[kLanesEach], is_inside[kLanesEach];
  HWY_ALIGN float result[kLanesEach];
  hn::Store(at, di, where);
  hn::Store(hn::VecFromMask(di, inside), di, is_inside);
  for (size_t i = 0; i < kLanesEach; ++i) {
    result[i] = is_inside[i] == 0 ? 0.0f : decode_element(table.format, table.data, static_cast<size_t>(where[i]));
  }
  return hn::Load(DF(), result);
}

// A chain of steps, which hand on vectors V in registers; at most as many as the calling convention has room for.
template <class... V>
struct ChainOf {
  using Step = void (*)(const TileStep* step, size_t at, const std::byte* uniforms, V... v);
  static constexpr size_t kHeld = sizeof...(V) * kLanesEach;  // elements
  static constexpr bool kIsWide = kHeld > kTileChunk;

  static HWY_INLINE Step code_of(const TileStep* step) {
    return reinterpret_cast<Step>(kIsWide ? step->code.wide : step->code.chunk);
  }

  // Every step ends with a call of the next one, which compilers make a jump. f(v, k) is what becomes of vector k.
  template <class F>
  static HWY_INLINE void next(const F& f, const TileStep* step, size_t at, const std::byte* uniforms, V... v) {
    return next_of(std::index_sequence_for<V...>(), f, step + 1, at, uniforms, v...);
  }
  template <size_t... K, class F>
  static HWY_INLINE void next_of(std::index_sequence<K...>, const F& f, const TileStep* step, size_t at,
                                 const std::byte* uniforms, V... v) {
    return code_of(step)(step, at, uniforms, f(v, K)...);
  }

  // Elements from `at` on, as many as are held.
  static HWY_INLINE void run(const TileStep* steps, size_t at, const std::byte* uniforms) {
    return code_of(steps)(steps, at, uniforms, V{}...);
  }

  template <bool kUniform>
  static void LoadStep(const TileStep* step, size_t at, const std::byte* uniforms, V... v) {
    const InMemory<kUniform> from(step->a, at, uniforms);
    const auto f = [from](VF, size_t k) HWY_ATTR { return from(k); };
    return next(f, step, at, uniforms, v...);
  }

  static void IotaStep(const TileStep* step, size_t at, const std::byte* uniforms, V... v) {
    const auto first = static_cast<int32_t>(step->a->first + static_cast<int64_t>(at & step->a->source_mask));
    const auto f = [first](VF, size_t k)
                       HWY_ATTR { return bits(hn::Iota(DI(), first + static_cast<int32_t>(k * kLanesEach))); };
    return next(f, step, at, uniforms, v...);
  }

  static void LoadBoolStep(const TileStep* step, size_t at, const std::byte* uniforms, V... v) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(step->a->bytes + (at & step->a->source_mask));
    const auto f = [bytes](VF, size_t k) HWY_ATTR {
      const hn::Rebind<uint8_t, DI> du8;
      const VI lanes = hn::PromoteTo(DI(), hn::LoadU(du8, bytes + k * kLanesEach));
      return int_lanes_of(hn::Ne(lanes, hn::Zero(DI())));
    };
    return next(f, step, at, uniforms, v...);
  }

  static void StoreStep(const TileStep* step, size_t at, const std::byte* uniforms, V... v) {
    float* to = const_cast<float*>(floats_at(step->a, at));
    const auto f = [to](VF lanes, size_t k) HWY_ATTR {
      hn::StoreU(lanes, DF(), to + k * kLanesEach);
      return lanes;
    };
    return next(f, step, at, uniforms, v...);
  }

  // The last step.
  static void FinishStep(const TileStep* step, size_t at, const std::byte* uniforms, V... v) {
    static_cast<void>(uniforms);
    float* to = const_cast<float*>(floats_at(step->a, at));
    ((hn::StoreU(v, DF(), to), to += kLanesEach), ...);
  }

  static void StoreUniformStep(const TileStep* step, size_t at, const std::byte* uniforms, V... v) {
    auto* to = reinterpret_cast<float*>(const_cast<std::byte*>(uniforms) + step->a->uniform_at);
    const auto f = [to](VF lanes, size_t k) HWY_ATTR {
      if (k == 0) *to = hn::GetLane(lanes);
      return lanes;
    };
    return next(f, step, at, uniforms, v...);
  }

  static void EndStep(const TileStep* step, size_t at, const std::byte* uniforms, V... v) {
    static_cast<void>(step), static_cast<void>(at), static_cast<void>(uniforms);
    (static_cast<void>(v), ...);
  }

  template <Element kFrom, Element kTo>
  static void CastStep(const TileStep* step, size_t at, const std::byte* uniforms, V... v) {
    const auto f = [](VF lanes, size_t) HWY_ATTR { return Cast<kFrom, kTo>(lanes); };
    return next(f, step, at, uniforms, v...);
  }

  template <ScalarOp kOp, Element kType>
  static void UnaryStep(const TileStep* step, size_t at, const std::byte* uniforms, V... v) {
    const auto f = [](VF lanes, size_t) HWY_ATTR { return Unary<kOp, kType>(lanes); };
    return next(f, step, at, uniforms, v...);
  }

  // kReversed: what is held is the second argument.
  template <ScalarOp kOp, Element kType, bool kUniform, bool kReversed>
  static void BinaryStep(const TileStep* step, size_t at, const std::byte* uniforms, V... v) {
    const InMemory<kUniform> other(step->a, at, uniforms);
    const auto f = [other](VF lanes, size_t k) HWY_ATTR {
      return kReversed ? Binary<kOp, kType>(other(k), lanes) : Binary<kOp, kType>(lanes, other(k));
    };
    return next(f, step, at, uniforms, v...);
  }

  // What is held does not matter: the first argument is in memory, too.
  template <ScalarOp kOp, Element kType>
  static void UnaryOfStep(const TileStep* step, size_t at, const std::byte* uniforms, V... v) {
    const InMemory<false> from(step->a, at, uniforms);
    const auto f = [from](VF, size_t k) HWY_ATTR { return Unary<kOp, kType>(from(k)); };
    return next(f, step, at, uniforms, v...);
  }

  template <ScalarOp kOp, Element kType, bool kUniformA, bool kUniformB>
  static void BinaryOfStep(const TileStep* step, size_t at, const std::byte* uniforms, V... v) {
    const InMemory<kUniformA> a(step->a, at, uniforms);
    const InMemory<kUniformB> b(step->b, at, uniforms);
    const auto f = [a, b](VF, size_t k) HWY_ATTR { return Binary<kOp, kType>(a(k), b(k)); };
    return next(f, step, at, uniforms, v...);
  }

  // kReversed: what is held is the offset.
  template <bool kUniform, bool kReversed>
  static void LookupStep(const TileStep* step, size_t at, const std::byte* uniforms, V... v) {
    const InMemory<kUniform> other(step->a, at, uniforms);
    const TileTable& table = *step->table;
    const auto f = [other, &table](VF lanes, size_t k)
                       HWY_ATTR { return kReversed ? LookUp(table, other(k), lanes) : LookUp(table, lanes, other(k)); };
    return next(f, step, at, uniforms, v...);
  }

  // Both arguments in memory.
  template <bool kUniformA, bool kUniformB>
  static void LookupOfStep(const TileStep* step, size_t at, const std::byte* uniforms, V... v) {
    const InMemory<kUniformA> ids(step->a, at, uniforms);
    const InMemory<kUniformB> offsets(step->b, at, uniforms);
    const TileTable& table = *step->table;
    const auto f = [ids, offsets, &table](VF, size_t k) HWY_ATTR { return LookUp(table, ids(k), offsets(k)); };
    return next(f, step, at, uniforms, v...);
  }

  // kHolds: which argument is held; the others in memory, in their order.
  template <int kHolds, bool kUniformA, bool kUniformB>
  static void SelectStep(const TileStep* step, size_t at, const std::byte* uniforms, V... v) {
    const InMemory<kUniformA> a(step->a, at, uniforms);
    const InMemory<kUniformB> b(step->b, at, uniforms);
    const auto f = [a, b](VF lanes, size_t k) HWY_ATTR {
      const MF condition = hn::MaskFromVec(kHolds == 0 ? lanes : a(k));
      if constexpr (kHolds == 0) return hn::IfThenElse(condition, a(k), b(k));
      else if constexpr (kHolds == 1) return hn::IfThenElse(condition, lanes, b(k));
      else return hn::IfThenElse(condition, b(k), lanes);
    };
    return next(f, step, at, uniforms, v...);
  }

  // Which step does what.

  using Code = TileStepCode::Code;
  template <class F>
  static Code erased(F* step) {
    return reinterpret_cast<Code>(static_cast<Step>(step));
  }

  template <ScalarOp kOp, Element kType>
  static Code unary_code(const TileStepKind& kind) {
    return kind.holds == TileStepKind::kNone ? erased(UnaryOfStep<kOp, kType>) : erased(UnaryStep<kOp, kType>);
  }

  template <ScalarOp kOp, Element kType>
  static Code binary_code(const TileStepKind& kind) {
    if (kind.holds == TileStepKind::kNone) {
      if (kind.uniform_a) return erased(BinaryOfStep<kOp, kType, true, false>);
      return kind.uniform_b ? erased(BinaryOfStep<kOp, kType, false, true>)
                            : erased(BinaryOfStep<kOp, kType, false, false>);
    }
    if (kind.holds == 1) {
      return kind.uniform_a ? erased(BinaryStep<kOp, kType, true, true>) : erased(BinaryStep<kOp, kType, false, true>);
    }
    return kind.uniform_a ? erased(BinaryStep<kOp, kType, true, false>) : erased(BinaryStep<kOp, kType, false, false>);
  }

  template <int kHolds>
  static Code select_code(const TileStepKind& kind) {
    if (kind.uniform_a) {
      return kind.uniform_b ? erased(SelectStep<kHolds, true, true>) : erased(SelectStep<kHolds, true, false>);
    }
    return kind.uniform_b ? erased(SelectStep<kHolds, false, true>) : erased(SelectStep<kHolds, false, false>);
  }

  static Code lookup_code(const TileStepKind& kind) {
    if (kind.holds == TileStepKind::kNone) {
      if (kind.uniform_a) return erased(LookupOfStep<true, false>);
      return kind.uniform_b ? erased(LookupOfStep<false, true>) : erased(LookupOfStep<false, false>);
    }
    if (kind.holds == 1) return kind.uniform_a ? erased(LookupStep<true, true>) : erased(LookupStep<false, true>);
    return kind.uniform_a ? erased(LookupStep<true, false>) : erased(LookupStep<false, false>);
  }

  template <Element kFrom>
  static Code cast_code(Element to) {
    switch (to) {
      case Element::f32: return erased(CastStep<kFrom, Element::f32>);
      case Element::i32: return erased(CastStep<kFrom, Element::i32>);
      default: return erased(CastStep<kFrom, Element::bool8>);
    }
  }

  static Code compute_f32(const TileStepKind& kind) {
    constexpr Element kType = Element::f32;
#define WEFT_UNARY(name) \
  case ScalarOp::name: return unary_code<ScalarOp::name, kType>(kind)
#define WEFT_BINARY(name) \
  case ScalarOp::name: return binary_code<ScalarOp::name, kType>(kind)
#define WEFT_COMPARISONS \
  WEFT_BINARY(eq);       \
  WEFT_BINARY(ne);       \
  WEFT_BINARY(lt);       \
  WEFT_BINARY(le);       \
  WEFT_BINARY(gt);       \
  WEFT_BINARY(ge)
#define WEFT_ARITHMETIC \
  WEFT_BINARY(add);     \
  WEFT_BINARY(sub);     \
  WEFT_BINARY(mul);     \
  WEFT_BINARY(div);     \
  WEFT_BINARY(mod)
    switch (kind.op) {
      WEFT_UNARY(neg);
      WEFT_UNARY(abs);
      WEFT_UNARY(exp);
      WEFT_UNARY(log);
      WEFT_UNARY(log1p);
      WEFT_UNARY(sqrt);
      WEFT_UNARY(rsqrt);
      WEFT_UNARY(tanh);
      WEFT_UNARY(sigmoid);
      WEFT_UNARY(softplus);
      WEFT_UNARY(erf);
      WEFT_UNARY(sin);
      WEFT_UNARY(cos);
      WEFT_UNARY(floor);
      WEFT_ARITHMETIC;
      WEFT_BINARY(min);
      WEFT_BINARY(max);
      WEFT_BINARY(pow);
      WEFT_COMPARISONS;
      default: return nullptr;
    }
  }

  static Code compute_i32(const TileStepKind& kind) {
    constexpr Element kType = Element::i32;
    switch (kind.op) {
      WEFT_UNARY(neg);
      WEFT_UNARY(abs);
      WEFT_ARITHMETIC;
      WEFT_BINARY(min);
      WEFT_BINARY(max);
      WEFT_COMPARISONS;
      default: return nullptr;
    }
  }

  static Code compute_bool(const TileStepKind& kind) {
    constexpr Element kType = Element::bool8;
    switch (kind.op) {
      WEFT_UNARY(logical_not);
      WEFT_BINARY(logical_and);
      WEFT_BINARY(logical_or);
      WEFT_BINARY(min);
      WEFT_BINARY(max);
      WEFT_COMPARISONS;
      default: return nullptr;
    }
#undef WEFT_UNARY
#undef WEFT_BINARY
#undef WEFT_COMPARISONS
#undef WEFT_ARITHMETIC
  }

  static Code code_for(const TileStepKind& kind) {
    using Does = TileStepKind::Does;
    switch (kind.does) {
      case Does::load: return kind.uniform_a ? erased(LoadStep<true>) : erased(LoadStep<false>);
      case Does::iota: return erased(IotaStep);
      case Does::load_bool: return erased(LoadBoolStep);
      case Does::store: return erased(StoreStep);
      case Does::finish: return erased(FinishStep);
      case Does::store_uniform: return erased(StoreUniformStep);
      case Does::end: return erased(EndStep);
      case Does::compute: break;
    }
    if (kind.op == ScalarOp::select) {
      return kind.holds == 0 ? select_code<0>(kind) : kind.holds == 1 ? select_code<1>(kind) : select_code<2>(kind);
    }
    if (kind.op == ScalarOp::lookup) return lookup_code(kind);
    if (kind.op == ScalarOp::cast) {
      return kind.argument == Element::f32   ? cast_code<Element::f32>(kind.type)
             : kind.argument == Element::i32 ? cast_code<Element::i32>(kind.type)
                                             : cast_code<Element::bool8>(kind.type);
    }
    return kind.argument == Element::f32   ? compute_f32(kind)
           : kind.argument == Element::i32 ? compute_i32(kind)
                                           : compute_bool(kind);
  }
};

using WideChain = ChainOf<VF, VF, VF, VF, VF, VF, VF, VF>;
#if HWY_TARGET <= HWY_AVX3
using ChunkChain = ChainOf<VF, VF, VF, VF>;
#else
using ChunkChain = WideChain;
#endif
static_assert(kTileChunk % ChunkChain::kHeld == 0 && WideChain::kHeld <= kTileRegister);

// Of two arguments in memory.
template <ScalarOp kOp>
void BinaryLoop(const TileStep* step, size_t at, size_t end) {
  const DF df;
  const float* a = floats_at(step->a, at);
  const float* b = floats_at(step->b, at);
  float* to = const_cast<float*>(floats_at(step[1].a, at));
  constexpr size_t n = kLanesEach;
  for (; at < end; at += 4 * n, a += 4 * n, b += 4 * n, to += 4 * n) {
    const VF v0 = BinaryF32<kOp>(hn::LoadU(df, a), hn::LoadU(df, b));
    const VF v1 = BinaryF32<kOp>(hn::LoadU(df, a + n), hn::LoadU(df, b + n));
    const VF v2 = BinaryF32<kOp>(hn::LoadU(df, a + 2 * n), hn::LoadU(df, b + 2 * n));
    const VF v3 = BinaryF32<kOp>(hn::LoadU(df, a + 3 * n), hn::LoadU(df, b + 3 * n));
    hn::StoreU(v0, df, to);
    hn::StoreU(v1, df, to + n);
    hn::StoreU(v2, df, to + 2 * n);
    hn::StoreU(v3, df, to + 3 * n);
  }
}
static_assert(kTileChunk % (4 * kLanesEach) == 0);

TileStepCode CodeOf(const TileStepKind& kind) {
  TileStepCode code{.chunk = ChunkChain::code_for(kind)};
  if constexpr (WideChain::kIsWide) code.wide = WideChain::code_for(kind);
  const bool in_memory = kind.holds == TileStepKind::kNone && !kind.uniform_a && !kind.uniform_b;
  if (kind.is_only && in_memory && kind.argument == Element::f32) {
    if (kind.op == ScalarOp::add) code.loop = BinaryLoop<ScalarOp::add>;
    if (kind.op == ScalarOp::sub) code.loop = BinaryLoop<ScalarOp::sub>;
    if (kind.op == ScalarOp::mul) code.loop = BinaryLoop<ScalarOp::mul>;
  }
  return code;
}

// Whole chunks.
HWY_INLINE void RunChunks(const TileStep* steps, size_t at, size_t end, const std::byte* uniforms,
                          size_t uniform_step) {
  if (uniform_step == 0 && steps->code.loop != nullptr) return steps->code.loop(steps, at, end);
  if constexpr (WideChain::kIsWide) {
    if (uniform_step == 0) {
      for (; at + WideChain::kHeld <= end; at += WideChain::kHeld) WideChain::run(steps, at, uniforms);
    }
  }
  for (; at < end; uniforms += uniform_step) {
    for (size_t i = 0; i < kTileChunk; i += ChunkChain::kHeld, at += ChunkChain::kHeld) {
      ChunkChain::run(steps, at, uniforms);
    }
  }
}

void RunSteps(const TileStep* steps, int64_t base, int64_t n, const std::byte* uniforms, size_t uniform_step) {
  RunChunks(steps, static_cast<size_t>(base), static_cast<size_t>(base + n), uniforms, uniform_step);
}

void RunBox(const TileBox& box) {
  const auto n = static_cast<size_t>(box.n);
  const size_t whole = n / kTileChunk * kTileChunk;
  for (int64_t r = 0;;) {
    RunChunks(box.steps, 0, whole, box.uniforms, 0);
    if (whole < n) RunChunks(box.steps, n - kTileChunk, n, box.uniforms, 0);
    if (++r == box.rows) break;
    box.result->data += box.result_step;
    for (TileMove& move : box.moves) go_on(move, box.uniforms);
    if (box.uniform_steps != nullptr) ChunkChain::run(box.uniform_steps, 0, box.uniforms);
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

HWY_EXPORT(CodeOf);
HWY_EXPORT(RunSteps);
HWY_EXPORT(RunBox);
HWY_EXPORT(StoreTileBools);

TileStepCode code_of_step(const TileStepKind& kind) { return HWY_DYNAMIC_DISPATCH(CodeOf)(kind); }

void run_tile_steps(const TileStep* steps, int64_t base, int64_t n, const std::byte* uniforms, size_t uniform_step) {
  HWY_DYNAMIC_DISPATCH(RunSteps)(steps, base, n, uniforms, uniform_step);
}

void run_tile_box(const TileBox& box) { HWY_DYNAMIC_DISPATCH(RunBox)(box); }

void store_tile_bools(const void* masks, int64_t n, void* bytes) {
  HWY_DYNAMIC_DISPATCH(StoreTileBools)(masks, n, bytes);
}

}  // namespace weft
#endif  // HWY_ONCE

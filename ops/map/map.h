// Elementwise operations: arithmetic, comparisons, where, cast, index, and map with a function of yours.
//
//   auto y = silu(gate) * up;              // also gelu, softplus, exp, log1p, rsqrt, ...
//   auto m = where(index<Key>() <= pos, score, -inf);
//   auto z = map([](auto a, auto b) { return a * exp(-b); }, x, y);   // called once, with symbolic scalars
//
// Operands' axes nest: the result has those of the larger side, in its order. Coordinates (index<A>(), positions,
// numbers) broadcast freely. Element types must agree; cast<T> converts.
#pragma once

#include <limits>

#include "core/expr/combine.h"

namespace weft {

inline constexpr float inf = std::numeric_limits<float>::infinity();

// Operations as messages name them.
namespace op {
struct add;
struct subtract;
struct multiply;
struct divide;
struct modulo;
struct minimum;
struct maximum;
struct power;
struct compare;
struct logical;
struct where;
struct function_of_one;  // exp, silu, ...
struct map;
}  // namespace op

namespace map_detail {

// A number takes the element type of its partner where that loses nothing: 2 may stand for 2.0f.
template <class Partner, class X>
auto operand(const X& x) {
  if constexpr (std::same_as<X, int> && !is_refused<expr_of<Partner>>) {
    if constexpr (std::same_as<typename expr_of<Partner>::element, f32>) return as_expr(static_cast<float>(x));
    else return as_expr(x);
  } else {
    return as_expr(x);
  }
}

// What an operation takes and gives.
enum class Kind {
  arithmetic,  // f32 or i32 -> the same
  equality,    // any -> bool
  ordering,    // f32 or i32 -> bool
  logic,       // bool -> bool
};

template <Kind K, class T>
inline constexpr bool takes = K == Kind::equality ? true
                              : K == Kind::logic  ? std::same_as<T, bool>
                                                  : std::same_as<T, f32> || std::same_as<T, i32>;
template <Kind K, class T>
using gives = std::conditional_t<K == Kind::arithmetic, T, bool>;

template <class Op, class A, class B>
consteval auto why_other_elements() {
  if constexpr (is_refused<A> || is_refused<B>) {
    return refused_before;
  } else if constexpr (!SurfaceElement<typename A::element>) {
    return because_of<refused<Op, found<typename A::element>, numbers_are_float_int_or_bool>>;
  } else if constexpr (!SurfaceElement<typename B::element>) {
    return because_of<refused<Op, found<typename B::element>, numbers_are_float_int_or_bool>>;
  } else if constexpr (!std::same_as<typename A::element, typename B::element>) {
    // float, int and bool do not mix; cast<T>(x) converts
    return because_of<refused<Op, element_types_differ<typename A::element, typename B::element>, use_cast>>;
  } else {
    return allowed;
  }
}

template <class Op, Kind K, class A, class B>
consteval auto why_not() {
  constexpr auto why = first_refusal(why_not_combined<Op, A, B>(), why_other_elements<Op, A, B>());
  if constexpr (!is_allowed<why_of<decltype(why)>>) {
    return why;
  } else if constexpr (!takes<K, typename A::element>) {
    return because_of<refused<Op, found<typename A::element>, use_cast>>;
  } else {
    return allowed;
  }
}

// Why a function of one operand, of element f32 (or i32 too), does not apply.
template <class Op, bool OfIntsToo, class A>
consteval auto why_not_unary() {
  if constexpr (is_refused<A>) {
    return refused_before;
  } else if constexpr (A::stage == Stage::attention || A::stage == Stage::weights) {
    // this needs two steps
    return because_of<refused<Op, completion<A>, way_out<A>, because<it_has, typename A::axes>>>;
  } else if constexpr (!(std::same_as<typename A::element, f32> ||
                         (OfIntsToo && std::same_as<typename A::element, i32>))) {
    // this function is of f32; cast<f32>(x) converts
    return because_of<refused<Op, wanted<f32>, found<typename A::element>, use_cast>>;
  } else {
    return allowed;
  }
}

template <class A>
consteval auto why_not_logical() {
  if constexpr (is_refused<A>) return refused_before;
  else if constexpr (std::same_as<typename A::element, bool>) return allowed;
  else return because_of<refused<op::logical, wanted<bool>, found<typename A::element>>>;
}

template <class T, class A>
consteval auto why_no_cast() {
  if constexpr (is_refused<A>) {
    return refused_before;
  } else if constexpr (!ComputeElement<T>) {
    // bf16 and f16 are ways to store an f32, in weights, tensors and caches
    return because_of<refused<op::cast, found<T>, elements_are_f32_i32_or_bool>>;
  } else if constexpr (A::stage == Stage::attention || A::stage == Stage::weights) {
    return because_of<refused<op::cast, completion<A>, way_out<A>>>;
  } else {
    return allowed;
  }
}

template <class A, class B, class C>
consteval auto why_no_where() {
  constexpr auto why = first_refusal(why_not_combined<op::where, A, B>(), why_other_elements<op::where, A, B>());
  if constexpr (!is_allowed<why_of<decltype(why)>>) {
    return why;
  } else if constexpr (is_refused<C>) {
    return refused_before;
  } else if constexpr (!std::same_as<typename C::element, bool>) {
    return because_of<refused<op::where, wanted<bool>, found<typename C::element>, use_cast>>;
  } else {
    return why_not_combined<op::where, combined_expr<f32, A, B>, C>();
  }
}

// The first argument that does not combine with those before it.
template <class Shape>
consteval auto why_no_map() {
  return allowed;
}
template <class Shape, class First, class... Rest>
consteval auto why_no_map() {
  constexpr auto why = why_not_combined<op::map, Shape, First>();
  if constexpr (!is_allowed<why_of<decltype(why)>>) return why;
  else return why_no_map<combined_expr<f32, Shape, First>, Rest...>();
}

// The expression that all arguments of a map combine to.
template <class Shape, class... Rest>
struct map_shape {
  using type = Shape;
};
template <class Shape, class First, class... Rest>
struct map_shape<Shape, First, Rest...> : map_shape<combined_expr<f32, Shape, First>, Rest...> {};

// A symbolic scalar for an argument: the same expression, seen without its axes.
template <class A>
auto symbol(const A& a) {
  return Expr<typename A::element, Axes<>, Stage::map, void, A::flags & kCoordinate>{a.node};
}

// One side of an operation whose other side is Y.
template <class X, class Y>
using side_of = std::remove_cvref_t<decltype(operand<Y>(std::declval<const X&>()))>;

template <class Op, Kind K, class X, class Y>
using why_not_binary = why_of<decltype(why_not<Op, K, side_of<X, Y>, side_of<Y, X>>())>;

template <class X, bool OfIntsToo>
using why_no_function = why_of<decltype(why_not_unary<op::function_of_one, OfIntsToo, expr_of<X>>())>;

template <class Why, ScalarOp Code, Kind K, class X, class Y>
auto binary(const X& x, const Y& y) {
  if constexpr (is_allowed<Why>) {
    using A = side_of<X, Y>;
    using B = side_of<Y, X>;
    using T = gives<K, typename A::element>;
    return combined_expr<T, A, B>{scalar_node(Code, element_of<T>, {operand<Y>(x).node, operand<X>(y).node})};
  } else {
    return Refused{};
  }
}

template <class Why, ScalarOp Code, class X>
auto unary(const X& x) {
  if constexpr (is_allowed<Why>) {
    using T = typename expr_of<X>::element;
    return mapped_expr<T, expr_of<X>>{scalar_node(Code, element_of<T>, {as_expr(x).node})};
  } else {
    return Refused{};
  }
}

}  // namespace map_detail

template <class X, class Y>
concept Operands = Operable<X> && Operable<Y> && (Symbolic<X> || Symbolic<Y>);

// Spelled out, not made by macros: an error inside a macro is twice as long.

template <class X, class Y>
  requires Operands<X, Y>
auto operator+(const X& x, const Y& y) {
  using Why = map_detail::why_not_binary<op::add, map_detail::Kind::arithmetic, X, Y>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::binary<Why, ScalarOp::add, map_detail::Kind::arithmetic>(x, y);
}
template <class X, class Y>
  requires Operands<X, Y>
auto operator-(const X& x, const Y& y) {
  using Why = map_detail::why_not_binary<op::subtract, map_detail::Kind::arithmetic, X, Y>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::binary<Why, ScalarOp::sub, map_detail::Kind::arithmetic>(x, y);
}
template <class X, class Y>
  requires Operands<X, Y>
auto operator*(const X& x, const Y& y) {
  using Why = map_detail::why_not_binary<op::multiply, map_detail::Kind::arithmetic, X, Y>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::binary<Why, ScalarOp::mul, map_detail::Kind::arithmetic>(x, y);
}
template <class X, class Y>
  requires Operands<X, Y>
auto operator/(const X& x, const Y& y) {
  using Why = map_detail::why_not_binary<op::divide, map_detail::Kind::arithmetic, X, Y>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::binary<Why, ScalarOp::div, map_detail::Kind::arithmetic>(x, y);
}
template <class X, class Y>
  requires Operands<X, Y>
auto operator%(const X& x, const Y& y) {
  using Why = map_detail::why_not_binary<op::modulo, map_detail::Kind::arithmetic, X, Y>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::binary<Why, ScalarOp::mod, map_detail::Kind::arithmetic>(x, y);
}
// a < b ? a : b
template <class X, class Y>
  requires Operands<X, Y>
auto minimum(const X& x, const Y& y) {
  using Why = map_detail::why_not_binary<op::minimum, map_detail::Kind::arithmetic, X, Y>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::binary<Why, ScalarOp::min, map_detail::Kind::arithmetic>(x, y);
}
// a > b ? a : b
template <class X, class Y>
  requires Operands<X, Y>
auto maximum(const X& x, const Y& y) {
  using Why = map_detail::why_not_binary<op::maximum, map_detail::Kind::arithmetic, X, Y>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::binary<Why, ScalarOp::max, map_detail::Kind::arithmetic>(x, y);
}
template <class X, class Y>
  requires Operands<X, Y>
auto pow(const X& x, const Y& y) {
  using Why = map_detail::why_not_binary<op::power, map_detail::Kind::arithmetic, X, Y>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::binary<Why, ScalarOp::pow, map_detail::Kind::arithmetic>(x, y);
}
template <class X, class Y>
  requires Operands<X, Y>
auto operator==(const X& x, const Y& y) {
  using Why = map_detail::why_not_binary<op::compare, map_detail::Kind::equality, X, Y>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::binary<Why, ScalarOp::eq, map_detail::Kind::equality>(x, y);
}
template <class X, class Y>
  requires Operands<X, Y>
auto operator!=(const X& x, const Y& y) {
  using Why = map_detail::why_not_binary<op::compare, map_detail::Kind::equality, X, Y>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::binary<Why, ScalarOp::ne, map_detail::Kind::equality>(x, y);
}
template <class X, class Y>
  requires Operands<X, Y>
auto operator<(const X& x, const Y& y) {
  using Why = map_detail::why_not_binary<op::compare, map_detail::Kind::ordering, X, Y>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::binary<Why, ScalarOp::lt, map_detail::Kind::ordering>(x, y);
}
template <class X, class Y>
  requires Operands<X, Y>
auto operator<=(const X& x, const Y& y) {
  using Why = map_detail::why_not_binary<op::compare, map_detail::Kind::ordering, X, Y>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::binary<Why, ScalarOp::le, map_detail::Kind::ordering>(x, y);
}
template <class X, class Y>
  requires Operands<X, Y>
auto operator>(const X& x, const Y& y) {
  using Why = map_detail::why_not_binary<op::compare, map_detail::Kind::ordering, X, Y>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::binary<Why, ScalarOp::gt, map_detail::Kind::ordering>(x, y);
}
template <class X, class Y>
  requires Operands<X, Y>
auto operator>=(const X& x, const Y& y) {
  using Why = map_detail::why_not_binary<op::compare, map_detail::Kind::ordering, X, Y>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::binary<Why, ScalarOp::ge, map_detail::Kind::ordering>(x, y);
}
// No short circuit: both sides are values.
template <class X, class Y>
  requires Operands<X, Y>
auto operator&&(const X& x, const Y& y) {
  using Why = map_detail::why_not_binary<op::logical, map_detail::Kind::logic, X, Y>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::binary<Why, ScalarOp::logical_and, map_detail::Kind::logic>(x, y);
}
template <class X, class Y>
  requires Operands<X, Y>
auto operator||(const X& x, const Y& y) {
  using Why = map_detail::why_not_binary<op::logical, map_detail::Kind::logic, X, Y>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::binary<Why, ScalarOp::logical_or, map_detail::Kind::logic>(x, y);
}

template <Symbolic X>
auto operator-(const X& x) {
  using Why = map_detail::why_no_function<X, true>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::unary<Why, ScalarOp::neg>(x);
}
template <Symbolic X>
auto abs(const X& x) {
  using Why = map_detail::why_no_function<X, true>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::unary<Why, ScalarOp::abs>(x);
}
template <Symbolic X>
auto exp(const X& x) {
  using Why = map_detail::why_no_function<X, false>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::unary<Why, ScalarOp::exp>(x);
}
template <Symbolic X>
auto log(const X& x) {
  using Why = map_detail::why_no_function<X, false>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::unary<Why, ScalarOp::log>(x);
}
// log(1 + x), exact for small x too.
template <Symbolic X>
auto log1p(const X& x) {
  using Why = map_detail::why_no_function<X, false>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::unary<Why, ScalarOp::log1p>(x);
}
template <Symbolic X>
auto sqrt(const X& x) {
  using Why = map_detail::why_no_function<X, false>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::unary<Why, ScalarOp::sqrt>(x);
}
// 1 / sqrt(x)
template <Symbolic X>
auto rsqrt(const X& x) {
  using Why = map_detail::why_no_function<X, false>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::unary<Why, ScalarOp::rsqrt>(x);
}
template <Symbolic X>
auto tanh(const X& x) {
  using Why = map_detail::why_no_function<X, false>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::unary<Why, ScalarOp::tanh>(x);
}
template <Symbolic X>
auto sigmoid(const X& x) {
  using Why = map_detail::why_no_function<X, false>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::unary<Why, ScalarOp::sigmoid>(x);
}
// log(1 + e^x), a smooth max(x, 0) (Dugas et al. 2001).
template <Symbolic X>
auto softplus(const X& x) {
  using Why = map_detail::why_no_function<X, false>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::unary<Why, ScalarOp::softplus>(x);
}
// 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x.
template <Symbolic X>
auto erf(const X& x) {
  using Why = map_detail::why_no_function<X, false>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::unary<Why, ScalarOp::erf>(x);
}
template <Symbolic X>
auto sin(const X& x) {
  using Why = map_detail::why_no_function<X, false>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::unary<Why, ScalarOp::sin>(x);
}
template <Symbolic X>
auto cos(const X& x) {
  using Why = map_detail::why_no_function<X, false>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::unary<Why, ScalarOp::cos>(x);
}
template <Symbolic X>
auto floor(const X& x) {
  using Why = map_detail::why_no_function<X, false>;
  static_assert(Why::value, "refused: see this error's types");
  return map_detail::unary<Why, ScalarOp::floor>(x);
}

template <Symbolic X>
auto operator!(const X& x) {
  using A = expr_of<X>;
  using Why = why_of<decltype(map_detail::why_not_logical<A>())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    return mapped_expr<bool, A>{scalar_node(ScalarOp::logical_not, Element::bool8, {as_expr(x).node})};
  }
}

// x * sigmoid(x) (Elfwing et al. 2017, arXiv:1702.03118).
template <Symbolic X>
auto silu(const X& x) {
  return x * sigmoid(x);
}

// x times the distribution function of the normal distribution: x/2 * (1 + erf(x / sqrt(2))) (Hendrycks & Gimpel 2016,
// arXiv:1606.08415).
template <Symbolic X>
auto gelu(const X& x) {
  return 0.5f * x * (1.0f + erf(x * 0.7071067811865476f));
}

// The tanh form of GELU: x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) (Hendrycks & Gimpel 2016, arXiv:1606.08415).
template <Symbolic X>
auto gelu_tanh(const X& x) {
  return 0.5f * x * (1.0f + tanh(0.7978845608028654f * (x + 0.044715f * x * x * x)));
}

// The coordinate on axis A, from 0: i32.
template <Axis A>
auto index() {
  return Expr<i32, Axes<A>, Stage::map, void, kCoordinate>{index_node(&axis_info<A>)};
}

// The extent of axis A in this run: i32. Of a cache's key, which each sequence has its own of, it is refused when the
// graph is verified.
template <Axis A>
auto extent() {
  return Expr<i32, Axes<>, Stage::map, void, kCoordinate>{extent_node(&axis_info<A>)};
}

// f32 to i32 truncates and saturates (NaN gives 0); to bool is x != 0; from bool gives 0 or 1.
template <class T, Symbolic X>
auto cast(const X& x) {
  using A = expr_of<X>;
  using Why = why_of<decltype(map_detail::why_no_cast<T, A>())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    if constexpr (std::same_as<T, typename A::element>) {
      return mapped_expr<T, A>{as_expr(x).node};
    } else {
      return mapped_expr<T, A>{scalar_node(ScalarOp::cast, element_of<T>, {as_expr(x).node})};
    }
  }
}

// condition ? x : y, elementwise; both are values, neither is skipped.
template <class C, class X, class Y>
  requires Operable<C> && Operable<X> && Operable<Y> && (Symbolic<C> || Symbolic<X> || Symbolic<Y>)
auto where(const C& condition, const X& x, const Y& y) {
  using A = map_detail::side_of<X, Y>;
  using B = map_detail::side_of<Y, X>;
  using Why = why_of<decltype(map_detail::why_no_where<A, B, expr_of<C>>())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    using T = typename A::element;
    return combined_expr<T, combined_expr<T, A, B>, expr_of<C>>{
        scalar_node(ScalarOp::select, element_of<T>,
                    {as_expr(condition).node, map_detail::operand<Y>(x).node, map_detail::operand<X>(y).node})};
  }
}

// Calls `function` once with symbolic scalars, one per argument, and maps what it returns over the arguments' axes.
// The function may use every operation of this header; it becomes scalar IR, and runs on every backend.
template <class F, Symbolic... X>
  requires(sizeof...(X) > 0)
auto map(F function, const X&... x) {
  // A number leads, so that one argument folds like several.
  using Why = why_of<decltype(map_detail::why_no_map<expr_of<float>, expr_of<X>...>())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    using Shape = typename map_detail::map_shape<expr_of<float>, expr_of<X>...>::type;
    const auto result = as_expr(function(map_detail::symbol(as_expr(x))...));
    using T = typename std::remove_cvref_t<decltype(result)>::element;
    return Expr<T, typename Shape::axes, Shape::stage, typename Shape::along, Shape::flags>{result.node};
  }
}

}  // namespace weft

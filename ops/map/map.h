// Elementwise operations: arithmetic, comparisons, where, cast, index, and map with a function of yours.
//
//   auto y = silu(gate) * up;
//   auto m = where(index<Key>() <= pos, score, -inf);
//   auto z = map([](auto a, auto b) { return a * exp(-b); }, x, y);   // called once, with symbolic scalars
//
// Operands' axes nest: the result has those of the larger side, in its order. Coordinates (index<A>(), positions,
// numbers) broadcast freely. Element types must agree; cast<T> converts.
#pragma once

#include <limits>

#include "core/combine.h"

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
struct function;  // exp, silu, ...
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

enum class Gives { same, boolean };

template <class Op, ScalarOp Code, Gives Result, class A, class B>
auto binary(const A& a, const B& b) {
  if constexpr (!check_combination<Op, A, B>()) {
    return Refused{};
  } else if constexpr (!std::same_as<typename A::element, typename B::element>) {
    static_assert(refused<Op, element_types_differ<typename A::element, typename B::element>, use_cast>::value,
                  "float, int and bool do not mix; cast<T>(x) converts");
    return Refused{};
  } else {
    constexpr bool logic = Code == ScalarOp::logical_and || Code == ScalarOp::logical_or;
    using T = std::conditional_t<Result == Gives::boolean, bool, typename A::element>;
    if constexpr (logic != std::same_as<typename A::element, bool> && Code != ScalarOp::eq && Code != ScalarOp::ne) {
      static_assert(refused<Op, found<typename A::element>, use_cast>::value, "not an operation on this element type");
      return Refused{};
    } else {
      return combined_expr<T, A, B>{scalar_node(Code, element_of<T>, {a.node, b.node})};
    }
  }
}

template <ScalarOp Code, class X>
auto unary(const X& x) {
  using A = expr_of<X>;
  if constexpr (is_refused<A>) {
    return Refused{};
  } else if constexpr (!std::is_void_v<step_conflict<A, A>>) {
    static_assert(refused<op::function, step_conflict<A, A>, put_materialize_around_the_operand>::value,
                  "this needs two steps");
    return Refused{};
  } else if constexpr (constexpr bool any_number = Code == ScalarOp::neg || Code == ScalarOp::abs;
                       !(std::same_as<typename A::element, f32> ||
                         (any_number && std::same_as<typename A::element, i32>))) {
    static_assert(refused<op::function, wanted<f32>, found<typename A::element>, use_cast>::value,
                  "this function is of f32; cast<f32>(x) converts");
    return Refused{};
  } else {
    using T = typename A::element;
    return mapped_expr<T, A>{scalar_node(Code, element_of<T>, {as_expr(x).node})};
  }
}

}  // namespace map_detail

template <class X, class Y>
concept Operands = Operable<X> && Operable<Y> && (Symbolic<X> || Symbolic<Y>);

// WEFT_BINARY(name or operator, op, scalar op, element of the result)
#define WEFT_BINARY(function, operation, code, gives)                                            \
  template <class X, class Y>                                                                    \
    requires Operands<X, Y>                                                                      \
  auto function(const X& x, const Y& y) {                                                        \
    return map_detail::binary<op::operation, ScalarOp::code, map_detail::Gives::gives>(          \
        map_detail::operand<Y>(x), map_detail::operand<X>(y));                                   \
  }
WEFT_BINARY(operator+, add, add, same)
WEFT_BINARY(operator-, subtract, sub, same)
WEFT_BINARY(operator*, multiply, mul, same)
WEFT_BINARY(operator/, divide, div, same)
WEFT_BINARY(operator%, modulo, mod, same)
WEFT_BINARY(minimum, minimum, min, same)   // a < b ? a : b
WEFT_BINARY(maximum, maximum, max, same)   // a > b ? a : b
WEFT_BINARY(pow, power, pow, same)
WEFT_BINARY(operator==, compare, eq, boolean)
WEFT_BINARY(operator!=, compare, ne, boolean)
WEFT_BINARY(operator<, compare, lt, boolean)
WEFT_BINARY(operator<=, compare, le, boolean)
WEFT_BINARY(operator>, compare, gt, boolean)
WEFT_BINARY(operator>=, compare, ge, boolean)
WEFT_BINARY(operator&&, logical, logical_and, boolean)  // no short circuit: both sides are values
WEFT_BINARY(operator||, logical, logical_or, boolean)
#undef WEFT_BINARY

#define WEFT_UNARY(function, code)                   \
  template <Symbolic X>                              \
  auto function(const X& x) {                        \
    return map_detail::unary<ScalarOp::code>(x);     \
  }
WEFT_UNARY(operator-, neg)
WEFT_UNARY(abs, abs)
WEFT_UNARY(exp, exp)
WEFT_UNARY(log, log)
WEFT_UNARY(sqrt, sqrt)
WEFT_UNARY(rsqrt, rsqrt)
WEFT_UNARY(tanh, tanh)
WEFT_UNARY(sigmoid, sigmoid)
WEFT_UNARY(sin, sin)
WEFT_UNARY(cos, cos)
WEFT_UNARY(floor, floor)
#undef WEFT_UNARY

template <Symbolic X>
auto operator!(const X& x) {
  using A = expr_of<X>;
  if constexpr (is_refused<A>) {
    return Refused{};
  } else {
    static_assert(std::same_as<typename A::element, bool>, "operator! is of bool");
    return mapped_expr<bool, A>{scalar_node(ScalarOp::logical_not, Element::bool8, {as_expr(x).node})};
  }
}

// x * sigmoid(x) (Elfwing et al. 2017, arXiv:1702.03118).
template <Symbolic X>
auto silu(const X& x) {
  return x * sigmoid(x);
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

// f32 to i32 truncates and saturates (NaN gives 0); to bool is x != 0; from bool gives 0 or 1.
template <ComputeElement T, Symbolic X>
auto cast(const X& x) {
  using A = expr_of<X>;
  if constexpr (is_refused<A>) {
    return Refused{};
  } else if constexpr (!std::is_void_v<step_conflict<A, A>>) {
    static_assert(refused<op::cast, step_conflict<A, A>, put_materialize_around_the_operand>::value,
                  "this needs two steps");
    return Refused{};
  } else if constexpr (std::same_as<T, typename A::element>) {
    return mapped_expr<T, A>{as_expr(x).node};
  } else {
    return mapped_expr<T, A>{scalar_node(ScalarOp::cast, element_of<T>, {as_expr(x).node})};
  }
}

// condition ? x : y, elementwise; both are values, neither is skipped.
template <class C, class X, class Y>
  requires Operable<C> && Operable<X> && Operable<Y> && (Symbolic<C> || Symbolic<X> || Symbolic<Y>)
auto where(const C& condition, const X& x, const Y& y) {
  using I = expr_of<C>;
  const auto a = map_detail::operand<Y>(x);
  const auto b = map_detail::operand<X>(y);
  using A = std::remove_cvref_t<decltype(a)>;
  using B = std::remove_cvref_t<decltype(b)>;
  if constexpr (!check_combination<op::where, A, B>()) {
    return Refused{};
  } else if constexpr (!std::same_as<typename A::element, typename B::element>) {
    static_assert(refused<op::where, element_types_differ<typename A::element, typename B::element>, use_cast>::value,
                  "float, int and bool do not mix; cast<T>(x) converts");
    return Refused{};
  } else {
    using T = typename A::element;
    using AB = combined_expr<T, A, B>;
    if constexpr (!check_combination<op::where, AB, I>()) {
      return Refused{};
    } else if constexpr (!std::same_as<typename I::element, bool>) {
      static_assert(refused<op::where, wanted<bool>, found<typename I::element>, use_cast>::value,
                    "the condition must be bool");
      return Refused{};
    } else {
      return combined_expr<T, AB, I>{
          scalar_node(ScalarOp::select, element_of<T>, {as_expr(condition).node, a.node, b.node})};
    }
  }
}

namespace map_detail {

// A symbolic scalar for an argument: the same expression, seen without its axes.
template <class A>
auto symbol(const A& a) {
  return Expr<typename A::element, Axes<>, Stage::map, void, A::flags & kCoordinate>{a.node};
}

template <class First, class Second, class... Rest>
consteval auto fold() {
  if constexpr (!check_combination<op::map, First, Second>()) {
    return std::type_identity<Refused>{};
  } else {
    using Both = combined_expr<f32, First, Second>;
    if constexpr (sizeof...(Rest) == 0) return std::type_identity<Both>{};
    else return fold<Both, Rest...>();
  }
}

}  // namespace map_detail

// Calls `function` once with symbolic scalars, one per argument, and maps what it returns over the arguments' axes.
// The function may use every operation of this header; it becomes scalar IR, and runs on every backend.
template <class F, Symbolic... X>
  requires(sizeof...(X) > 0)
auto map(F function, const X&... x) {
  if constexpr ((is_refused<expr_of<X>> || ...)) {
    return Refused{};
  } else {
    // A number leads, so that one argument folds like several.
    using Shape = typename decltype(map_detail::fold<expr_of<float>, expr_of<X>...>())::type;
    if constexpr (is_refused<Shape>) {
      return Refused{};
    } else {
      const auto result = as_expr(function(map_detail::symbol(as_expr(x))...));
      using T = typename std::remove_cvref_t<decltype(result)>::element;
      return Expr<T, typename Shape::axes, Shape::stage, typename Shape::along, Shape::flags>{result.node};
    }
  }
}

}  // namespace weft

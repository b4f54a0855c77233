// Expressions: what operations return and materialize accepts. The type carries the element, the axes and how far the
// region grammar has come (Stage); the rest is a Node. So types stay small, and every rule is checked where the
// operation is called.
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include "core/axis.h"
#include "core/element.h"
#include "core/expr/node.h"
#include "core/expr/refused.h"

namespace weft {

enum class Stage : uint8_t {
  leaf,         // a stored value, or a view of one
  gathered,     // rows of a leaf selected by ids
  map,          // elementwise over the above
  norm,         // a map over reductions along one axis (Along)
  rotated,      // a map over one rope
  contraction,  // a map over contractions
  scanned,      // a map over one recurrence
  normalized,   // a map over norms, along one axis (Along), of contractions, and over contractions
  weights,      // softmax along Along over contractions: the first half of attention
  attention,    // complete; Along: Axes of the queries
};

// Flags of an expression beside its stage.
inline constexpr unsigned kCoordinate = 1;  // made of index<A>(), positions and scalars: broadcasts freely
inline constexpr unsigned kPaged = 2;       // reads a cache, so it must end in attention
inline constexpr unsigned kSoftmax = 4;     // of a norm: a softmax along Along, and nothing after it
inline constexpr unsigned kForScores = 8;   // a field of a cache, or a view of it, that only scores read ...
inline constexpr unsigned kForValues = 16;  // ... or that only the softmax of scores weighs

template <class T, class A, Stage S, class Along = void, unsigned Flags = 0>
struct Expr {
  using element = T;
  using axes = A;
  using along = Along;
  static constexpr Stage stage = S;
  static constexpr unsigned flags = Flags;
  static constexpr bool is_coordinate = (Flags & kCoordinate) != 0;
  static constexpr bool is_paged = (Flags & kPaged) != 0;

  NodePtr node;
};

// Anything that can be an operand has an overload of as_expr: values, tensors, weights, expressions and numbers.
template <class T, class A, Stage S, class Along, unsigned Flags>
const Expr<T, A, S, Along, Flags>& as_expr(const Expr<T, A, S, Along, Flags>& expr) {
  return expr;
}
inline Refused as_expr(Refused) { return {}; }

// Other integers than int are refused by every operation that they meet: which of 32 bits and a float is meant?
template <class T>
  requires std::is_arithmetic_v<T>
auto as_expr(T number) {
  if constexpr (std::floating_point<T>) {
    return Expr<f32, Axes<>, Stage::map, void, kCoordinate>{constant_node(static_cast<float>(number))};
  } else if constexpr (std::same_as<T, bool>) {
    return Expr<bool, Axes<>, Stage::map, void, kCoordinate>{constant_node(int32_t{number}, Element::bool8)};
  } else {
    using Number = std::conditional_t<std::same_as<T, int>, i32, T>;
    return Expr<Number, Axes<>, Stage::map, void, kCoordinate>{
        constant_node(static_cast<int32_t>(number), Element::i32)};
  }
}

template <class X>
using expr_of = std::remove_cvref_t<decltype(as_expr(std::declval<const X&>()))>;

template <class X>
concept Operable = requires(const X& x) { as_expr(x); };
template <class X>
concept Number = std::is_arithmetic_v<X>;
// What selects this library's operators: at least one operand that is not a plain number.
template <class X>
concept Symbolic = Operable<X> && !Number<X>;

template <class X>
inline constexpr bool is_refused = std::is_same_v<X, Refused>;

// The run-time list of a type-level one.
template <class List>
struct axis_list;
template <class... A>
struct axis_list<Axes<A...>> {
  static AxisList get() { return {&axis_info<A>...}; }
};

// Axes<A...> as the argument list of a reason: it_has<A...>.
template <template <class...> class Reason, class List>
struct reason_of;
template <template <class...> class Reason, class... A>
struct reason_of<Reason, Axes<A...>> {
  using type = Reason<A...>;
};
template <template <class...> class Reason, class List>
using because = typename reason_of<Reason, List>::type;

template <class E>
inline constexpr bool is_stored_view = E::stage == Stage::leaf;
template <class E>
inline constexpr bool is_contracted = E::stage == Stage::contraction || E::stage == Stage::normalized;
template <class E>
inline constexpr bool is_mapped = E::stage == Stage::leaf || E::stage == Stage::gathered || E::stage == Stage::map;

}  // namespace weft

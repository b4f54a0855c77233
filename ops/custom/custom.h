// Operations that Weft does not know, by the names of kernels that do:
//
//   auto y = materialize(custom<Embed>("soft_clip", x, w, 0.5f), "clipped");
//
// The result has the axes of the first operand, the last of which is A, and is f32. The kernel computes each row along
// A from the operands' rows there; another operand has all of the first one's axes or the last ones of them. Numbers
// are constants of the op. A plan needs a kernel of that name: docs/write_a_kernel.md.
#pragma once

#include <concepts>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/expr/materialize.h"

namespace weft {

namespace custom_detail {

// Whether the list ends with the axes of B.
template <class A, class B>
struct ends_with : std::false_type {};
template <class... A>
struct ends_with<Axes<A...>, Axes<A...>> : std::true_type {};
template <class First, class... A, class... B>
  requires(sizeof...(A) >= sizeof...(B))
struct ends_with<Axes<First, A...>, Axes<B...>> : ends_with<Axes<A...>, Axes<B...>> {};

// Of an operand E of a call whose first one is X.
template <class A, class X, class E>
consteval auto why_not() {
  if constexpr (is_refused<X> || is_refused<E>) {
    return refused_before;
  } else if constexpr (!ends_with<typename E::axes, Axes<A>>::value) {
    // a row is the last axis
    return because_of<refused<op::custom, axes_are_not_the_last_ones, A, because<it_has, typename E::axes>>>;
  } else if constexpr (!ends_with<typename X::axes, typename E::axes>::value) {
    // operands have the axes that the first one ends with
    return because_of<refused<op::custom, axes_are_not_the_last_ones, because<left_has, typename X::axes>,
                              because<right_has, typename E::axes>>>;
  } else if constexpr (!std::same_as<typename E::element, f32>) {
    return because_of<refused<op::custom, wanted<f32>, found<typename E::element>, use_cast>>;
  } else if constexpr (!is_stored_view<E> || E::is_paged) {
    return because_of<refused<op::custom, operand_is_an_expression, put_materialize_around_the_operand,
                              because<it_has, typename E::axes>>>;
  } else {
    return allowed;
  }
}
template <class A, class X, class Operand>
consteval auto why_no_operand() {
  if constexpr (std::is_arithmetic_v<Operand>) return allowed;
  else return why_not<A, X, expr_of<Operand>>();
}

template <class T>
concept OperandOrNumber = Symbolic<T> || std::is_arithmetic_v<T>;

}  // namespace custom_detail

// What materialize() makes a step of, and nothing else takes. Of E's axes.
template <class E>
struct CustomCall {
  StepRequest request;
};

template <Axis A, Symbolic X, custom_detail::OperandOrNumber... Others>
auto custom(std::string name, const X& x, const Others&... others) {
  using E = expr_of<X>;
  using Why = why_of<decltype(first_refusal(custom_detail::why_not<A, E, E>(),
                                            custom_detail::why_no_operand<A, E, Others>()...))>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    CustomCall<E> call;
    NodePtr sum = as_expr(x).node;
    call.request.operands.push_back(sum);
    const auto add = [&](const auto& other) {
      if constexpr (std::is_arithmetic_v<std::remove_cvref_t<decltype(other)>>) {
        call.request.constants.push_back(static_cast<float>(other));
      } else {
        call.request.operands.push_back(as_expr(other).node);
        sum = scalar_node(ScalarOp::add, Element::f32, {sum, as_expr(other).node});
      }
    };
    (add(others), ...);
    call.request.regions = {{std::move(sum), axis_list<typename E::axes>::get()}};
    call.request.op = std::move(name);
    call.request.along = &axis_info<A>;
    return call;
  }
}

template <class E>
auto materialize(CustomCall<E> call, std::string name = {}) {
  auto recorder = find_recorder(call.request.regions.front().expression);
  call.request.name = std::move(name);
  const ValueId id = record_step(call.request)[0];
  return materialize_detail::value_of<f32>(std::move(recorder), id, typename E::axes{});
}

}  // namespace weft

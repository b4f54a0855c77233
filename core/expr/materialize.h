// materialize(e): the one place where anything is computed. Records e as exactly one step of its graph and returns
// the value that the step will produce; the expression's type ends there. The name is optional; traces and errors
// show it.
#pragma once

#include <array>
#include <string>

#include "core/expr/combine.h"
#include "core/expr/value.h"

namespace weft {

namespace materialize_detail {

template <class E>
consteval auto why_not() {
  if constexpr (is_refused<E>) {
    return refused_before;
  } else if constexpr (E::stage == Stage::weights) {
    // put materialize around the contraction inside softmax, or contract the softmax with values
    return because_of<
        refused<op::materialize, operand_is_a_softmax_of_a_contraction,
                softmax_of_a_contraction_goes_into_contract_over, reduced_along<typename E::along>, way_out<E>>>;
  } else if constexpr (E::is_paged) {
    // cached tokens differ by sequence: only contract<Key>(softmax<Key>(score), v) reads them
    return because_of<refused<op::materialize, cached_values_are_read_by_attention_only, way_out<E>,
                              because<value_has, typename E::axes>>>;
  } else {
    return allowed;
  }
}

template <class E, class... A>
auto record(const E& expr, Axes<A...>, std::string name) {
  const NodePtr node = expr.node;
  auto recorder = find_recorder(node);
  const ValueId id = record_step({.regions = {{node, axis_list<Axes<A...>>::get()}}, .name = std::move(name)})[0];
  return Value<typename E::element, A...>(std::move(recorder), id);
}

template <class T, class... A>
auto value_of(std::shared_ptr<Recorder> recorder, ValueId id, Axes<A...>) {
  return Value<T, A...>(std::move(recorder), id);
}

template <class E, class Order>
consteval auto why_no_order() {
  if constexpr (is_refused<E>) {
    return refused_before;
  } else if constexpr (!is_same_set<Order, typename E::axes>) {
    return because_of<refused<op::materialize, order_has_other_axes_than_the_value, because<it_has, Order>,
                              because<value_has, typename E::axes>>>;
  } else if constexpr (E::stage == Stage::attention && !std::is_same_v<Order, typename E::axes>) {
    // the fused kernel writes the queries' axes, then the values'; another order is a second step
    return because_of<refused<op::materialize, operand_is_an_attention, put_materialize_around_the_operand,
                              because<value_has, typename E::axes>>>;
  } else {
    return allowed;
  }
}

}  // namespace materialize_detail

// One step, whose value is stored in the order of the expression's axes.
template <Symbolic X>
auto materialize(const X& x, std::string name = {}) {
  using E = expr_of<X>;
  using Why = why_of<decltype(materialize_detail::why_not<E>())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    return materialize_detail::record(as_expr(x), typename E::axes{}, std::move(name));
  }
}

// Stored in another order: materialize<KvHead, Pos, HeadDim>(x). Nothing else permutes.
template <Axis First, Axis... Rest, Symbolic X>
auto materialize(const X& x, std::string name = {}) {
  using E = expr_of<X>;
  using Order = Axes<First, Rest...>;
  using Why =
      why_of<decltype(first_refusal(materialize_detail::why_not<E>(), materialize_detail::why_no_order<E, Order>()))>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    return materialize_detail::record(as_expr(x), Order{}, std::move(name));
  }
}

inline Refused materialize(Refused, std::string = {}) { return {}; }
template <size_t N>
std::array<Refused, N> materialize(const RefusedResults<N>&, std::string = {}) {
  return {};
}

}  // namespace weft

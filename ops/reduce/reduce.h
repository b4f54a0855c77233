// Reductions along one axis, and the norms made of them.
//
//   sum<A>(x) mean<A>(x) max<A>(x) argmax<A>(x)     the axis A goes
//   softmax<A>(x) softmax<A>(x, sink) rms_norm<A>(x, w, eps) layer_norm<A>(x, w, b, eps) l2_norm<A>(x, eps)
//                                                   the axis A stays
//
// One step reduces along one axis, as often as it likes: softmax<A>(x - mean<A>(x)) is one step. rms_norm and
// layer_norm of a contraction are its epilogue, in the same step: rms_norm<HeadDim>(contract<Embed>(x, wq), w). Empty
// axes: sum 0, mean NaN, max -inf, argmax 0. max and argmax pass over NaN; argmax takes the lowest index.
#pragma once

#include "ops/map/map.h"

namespace weft {

namespace reduce_detail {

template <class Op, class A, class E>
consteval auto why_not() {
  if constexpr (is_refused<E>) {
    return refused_before;
  } else if constexpr (!contains_axis<A, typename E::axes>) {
    // no such axis here
    return because_of<refused<Op, operand_lacks<A>, because<it_has, typename E::axes>>>;
  } else if constexpr (!std::same_as<typename E::element, f32>) {
    // reductions are of f32
    return because_of<refused<Op, wanted<f32>, found<typename E::element>, use_cast>>;
  } else {
    return allowed;
  }
}

template <class Op, class A, class E>
consteval auto why_not_reducible() {
  if constexpr (constexpr auto why = why_not<Op, A, E>(); !is_allowed<why_of<decltype(why)>>) {
    return why;
  } else if constexpr (E::is_paged) {
    // what reads a cache goes through softmax into contract
    return because_of<refused<Op, cached_values_are_read_by_attention_only,
                              only_contract_over_a_softmax_reduces_cached_scores, because<it_has, typename E::axes>>>;
  } else if constexpr (is_contracted<E>) {
    // reducing a contraction takes a second step
    return because_of<
        refused<Op, operand_is_a_contraction, put_materialize_around_the_operand, because<it_has, typename E::axes>>>;
  } else if constexpr (E::stage == Stage::rotated) {
    // reducing a rotated value takes a second step
    return because_of<
        refused<Op, operand_is_a_rotation, put_materialize_around_the_operand, because<it_has, typename E::axes>>>;
  } else if constexpr (E::stage == Stage::norm && !std::same_as<typename E::along, A>) {
    // one step reduces along one axis
    return because_of<refused<Op, reduced_along<A>, operand_is_a_norm, reduced_along<typename E::along>,
                              put_materialize_around_the_operand>>;
  } else if constexpr (E::stage == Stage::weights || E::stage == Stage::attention || E::stage == Stage::scanned) {
    // this needs two steps
    return because_of<refused<Op, completion<E>, way_out<E>>>;
  } else {
    return allowed;
  }
}

template <class A, ReduceOp Op, class E>
auto reduce(const E& x) {
  using T = std::conditional_t<Op == ReduceOp::argmax, i32, f32>;
  return Expr<T, remove_axes<typename E::axes, A>, Stage::norm, A>{reduce_node(Op, &axis_info<A>, x.node)};
}

// A norm keeps its axis, so it may be of a contraction too.
template <class A, class E>
consteval auto why_no_norm() {
  if constexpr (!is_refused<E>) {
    if constexpr (!is_contracted<E> || E::is_paged) return why_not_reducible<op::norm, A, E>();
    else if constexpr (E::stage == Stage::contraction || std::same_as<typename E::along, A>)
      return why_not<op::norm, A, E>();
    // one step reduces along one axis
    else
      return because_of<refused<op::norm, reduced_along<A>, operand_is_a_norm, reduced_along<typename E::along>,
                                put_materialize_around_the_operand>>;
  } else {
    return refused_before;
  }
}

template <class A, class E>
using norm_of = Expr<f32, typename E::axes, is_contracted<E> ? Stage::normalized : Stage::norm, A>;

// Over a contraction, or over what reads a cache, softmax is the first half of attention.
template <class A, class E>
consteval auto why_no_softmax() {
  if constexpr (is_refused<E>) {
    return refused_before;
  } else if constexpr (E::stage == Stage::contraction || E::is_paged) {
    return why_not<op::softmax, A, E>();
  } else {
    return why_not_reducible<op::softmax, A, E>();
  }
}

// A softmax's sink: a map whose axes the softmax has, but for the one along which it runs.
template <class A, class X, class S>
consteval auto why_no_sink() {
  if constexpr (is_refused<X> || is_refused<S>) {
    return refused_before;
  } else if constexpr (!std::same_as<typename S::element, f32>) {
    // scores are of f32, and so is a sink
    return because_of<refused<op::softmax, wanted<f32>, found<typename S::element>, use_cast>>;
  } else if constexpr (S::is_paged) {
    // a cache is read by scores and values only
    return because_of<
        refused<op::softmax, cached_values_are_read_by_attention_only, because<right_has, typename S::axes>>>;
  } else if constexpr (!is_mapped<S>) {
    // what a sink is computed from is stored
    return because_of<
        refused<op::softmax, put_materialize_around_the_right_operand, because<right_has, typename S::axes>>>;
  } else if constexpr (contains_axis<A, typename S::axes>) {
    // there is one sink for all that the softmax runs over
    return because_of<refused<op::softmax, a_sink_does_not_vary_along<A>, because<right_has, typename S::axes>>>;
  } else if constexpr (!is_subset<typename S::axes, typename X::axes>) {
    // the sink has an axis that the scores lack
    return because_of<
        refused<op::softmax, because<left_operand_lacks, subtract_axes<typename S::axes, typename X::axes>>,
                because<left_has, typename X::axes>, because<right_has, typename S::axes>>>;
  } else {
    return allowed;
  }
}

template <class A, class E>
auto softmax_of(NodePtr node) {
  if constexpr (E::stage == Stage::contraction || E::is_paged) {
    return Expr<f32, typename E::axes, Stage::weights, A, E::flags & kPaged>{std::move(node)};
  } else {
    return Expr<f32, typename E::axes, Stage::norm, A, kSoftmax>{std::move(node)};
  }
}

// A norm's weight or bias: a map whose axes the normalized value has.
template <class X, class W>
consteval auto why_no_parameter() {
  if constexpr (is_refused<X> || is_refused<W>) {
    return refused_before;
  } else if constexpr (!is_mapped<W>) {
    // a norm's weight is a stored value
    return because_of<refused<op::norm, completion<W>, put_materialize_around_the_right_operand>>;
  } else if constexpr (!is_subset<typename W::axes, typename X::axes>) {
    // the weight has an axis that the value lacks
    return because_of<refused<op::norm, because<left_operand_lacks, subtract_axes<typename W::axes, typename X::axes>>,
                              because<left_has, typename X::axes>>>;
  } else {
    return allowed;
  }
}

}  // namespace reduce_detail

template <Axis A, Symbolic X>
auto sum(const X& x) {
  using Why = why_of<decltype(reduce_detail::why_not_reducible<op::reduce, A, expr_of<X>>())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (is_allowed<Why>) return reduce_detail::reduce<A, ReduceOp::sum>(as_expr(x));
  else return Refused{};
}
template <Axis A, Symbolic X>
auto mean(const X& x) {
  using Why = why_of<decltype(reduce_detail::why_not_reducible<op::reduce, A, expr_of<X>>())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (is_allowed<Why>) return reduce_detail::reduce<A, ReduceOp::mean>(as_expr(x));
  else return Refused{};
}
template <Axis A, Symbolic X>
auto max(const X& x) {
  using Why = why_of<decltype(reduce_detail::why_not_reducible<op::reduce, A, expr_of<X>>())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (is_allowed<Why>) return reduce_detail::reduce<A, ReduceOp::max>(as_expr(x));
  else return Refused{};
}

// exp(x - max) / sum along A; a row of -inf alone gives 0. Over a contraction it is the first half of attention:
// contract<A>(softmax<A>(score), values) follows in the same step.
template <Axis A, Symbolic X>
auto softmax(const X& x) {
  using E = expr_of<X>;
  using Why = why_of<decltype(reduce_detail::why_no_softmax<A, E>())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    return reduce_detail::softmax_of<A, E>(softmax_node(&axis_info<A>, as_expr(x).node));
  }
}

// The same with a sink, one more score of each row, of nothing: it adds exp(sink) to the sum, once, and has no place in
// the result, whose rows then add up to less than 1 (Xiao et al. 2023, arXiv:2309.17453, section 3.3). f32, a number or
// a map over axes of x but for A, such as a learned weight per head. A row of -inf alone still gives 0; so does a sink
// of inf.
template <Axis A, Symbolic X, Operable S>
auto softmax(const X& x, const S& sink) {
  using E = expr_of<X>;
  using Why = why_of<decltype(first_refusal(reduce_detail::why_no_softmax<A, E>(),
                                            reduce_detail::why_no_sink<A, E, expr_of<S>>()))>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    return reduce_detail::softmax_of<A, E>(softmax_node(&axis_info<A>, as_expr(x).node, as_expr(sink).node));
  }
}

// x / sqrt(mean(x^2) + eps) * weight along A (Zhang & Sennrich 2019, arXiv:1910.07467).
template <Axis A, Symbolic X, Symbolic W>
auto rms_norm(const X& x, const W& weight, float eps) {
  using E = expr_of<X>;
  using Why = why_of<decltype(first_refusal(reduce_detail::why_no_norm<A, E>(),
                                            reduce_detail::why_no_parameter<E, expr_of<W>>()))>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    return reduce_detail::norm_of<A, E>{rms_norm_node(&axis_info<A>, as_expr(x).node, as_expr(weight).node, eps)};
  }
}
template <Axis A, Symbolic X>
auto rms_norm(const X& x, float eps) {
  using E = expr_of<X>;
  using Why = why_of<decltype(reduce_detail::why_no_norm<A, E>())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    return reduce_detail::norm_of<A, E>{rms_norm_node(&axis_info<A>, as_expr(x).node, nullptr, eps)};
  }
}

// x / sqrt(sum(x^2) + eps) along A: lines of length 1, as the gated delta rule has its queries and keys (Yang et al.
// 2024, arXiv:2412.06464).
template <Axis A, Symbolic X>
auto l2_norm(const X& x, float eps) {
  using E = expr_of<X>;
  using Why = why_of<decltype(reduce_detail::why_no_norm<A, E>())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    return reduce_detail::norm_of<A, E>{l2_norm_node(&axis_info<A>, as_expr(x).node, eps)};
  }
}

// (x - mean) / sqrt(variance + eps) * weight + bias along A (Ba et al. 2016, arXiv:1607.06450).
template <Axis A, Symbolic X, Symbolic W, Symbolic B>
auto layer_norm(const X& x, const W& weight, const B& bias, float eps) {
  using E = expr_of<X>;
  using Why = why_of<decltype(first_refusal(reduce_detail::why_no_norm<A, E>(),
                                            reduce_detail::why_no_parameter<E, expr_of<W>>(),
                                            reduce_detail::why_no_parameter<E, expr_of<B>>()))>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    return reduce_detail::norm_of<A, E>{
        layer_norm_node(&axis_info<A>, as_expr(x).node, as_expr(weight).node, as_expr(bias).node, eps)};
  }
}
template <Axis A, Symbolic X>
auto layer_norm(const X& x, float eps) {
  using E = expr_of<X>;
  using Why = why_of<decltype(reduce_detail::why_no_norm<A, E>())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    return reduce_detail::norm_of<A, E>{layer_norm_node(&axis_info<A>, as_expr(x).node, nullptr, nullptr, eps)};
  }
}

}  // namespace weft

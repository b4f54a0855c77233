// Reductions along one axis, and the norms made of them.
//
//   sum<A>(x) mean<A>(x) max<A>(x) argmax<A>(x)     the axis A goes
//   softmax<A>(x) rms_norm<A>(x, w, eps) layer_norm<A>(x, w, b, eps)     the axis A stays
//
// One step reduces along one axis, as often as it likes: softmax<A>(x - mean<A>(x)) is one step.
// Empty axes: sum 0, mean NaN, max -inf, argmax 0. max and argmax pass over NaN; argmax takes the lowest index.
#pragma once

#include "ops/map/map.h"

namespace weft {

namespace reduce_detail {

template <class Op, class A, class E>
consteval bool check() {
  if constexpr (is_refused<E>) {
    return false;
  } else if constexpr (!contains_axis<A, typename E::axes>) {
    static_assert(refused<Op, operand_lacks<A>, because<it_has, typename E::axes>>::value, "no such axis here");
    return false;
  } else if constexpr (!std::same_as<typename E::element, f32>) {
    static_assert(refused<Op, wanted<f32>, found<typename E::element>, use_cast>::value, "reductions are of f32");
    return false;
  } else {
    return true;
  }
}

template <class Op, class A, class E>
consteval bool check_reducible() {
  if constexpr (!check<Op, A, E>()) {
    return false;
  } else if constexpr (E::stage == Stage::contraction) {
    static_assert(refused<Op, operand_is_a_contraction, put_materialize_around_the_operand,
                          because<it_has, typename E::axes>>::value,
                  "reducing a contraction takes a second step");
    return false;
  } else if constexpr (E::stage == Stage::rotated) {
    static_assert(refused<Op, operand_is_a_rotation, put_materialize_around_the_operand,
                          because<it_has, typename E::axes>>::value,
                  "reducing a rotated value takes a second step");
    return false;
  } else if constexpr (E::stage == Stage::norm && !std::same_as<typename E::along, A>) {
    static_assert(refused<Op, reduced_along<A>, operand_is_a_norm, reduced_along<typename E::along>, put_materialize_around_the_operand>::value,
                  "one step reduces along one axis");
    return false;
  } else if constexpr (E::stage == Stage::weights || E::stage == Stage::attention) {
    static_assert(refused<Op, step_conflict<E, E>, put_materialize_around_the_operand>::value, "this needs two steps");
    return false;
  } else if constexpr (E::is_paged) {
    static_assert(refused<Op, cached_values_are_read_by_attention_only, because<it_has, typename E::axes>>::value, "a cache is read by attention only");
    return false;
  } else {
    return true;
  }
}

template <class A, ReduceOp Op, class X>
auto reduce(const X& x) {
  using E = expr_of<X>;
  if constexpr (!check_reducible<op::reduce, A, E>()) {
    return Refused{};
  } else {
    using T = std::conditional_t<Op == ReduceOp::argmax, i32, f32>;
    return Expr<T, remove_axes<typename E::axes, A>, Stage::norm, A>{
        reduce_node(Op, &axis_info<A>, as_expr(x).node)};
  }
}

// A norm's weight or bias: a map whose axes the normalized value has.
template <class X, class W>
consteval bool check_parameter() {
  if constexpr (is_refused<W>) {
    return false;
  } else if constexpr (!is_mapped<W>) {
    static_assert(refused<op::norm, step_conflict<X, W>, put_materialize_around_the_right_operand>::value,
                  "a norm's weight is a stored value");
    return false;
  } else if constexpr (!is_subset<typename W::axes, typename X::axes>) {
    static_assert(refused<op::norm, because<left_operand_lacks, subtract_axes<typename W::axes, typename X::axes>>,
                          because<left_has, typename X::axes>>::value,
                  "the weight has an axis that the value lacks");
    return false;
  } else {
    return true;
  }
}

}  // namespace reduce_detail

template <Axis A, Symbolic X>
auto sum(const X& x) {
  return reduce_detail::reduce<A, ReduceOp::sum>(x);
}
template <Axis A, Symbolic X>
auto mean(const X& x) {
  return reduce_detail::reduce<A, ReduceOp::mean>(x);
}
template <Axis A, Symbolic X>
auto max(const X& x) {
  return reduce_detail::reduce<A, ReduceOp::max>(x);
}

// exp(x - max) / sum along A; a row of -inf alone gives 0. Over a contraction it is the first half of attention:
// contract<A>(softmax<A>(score), values) follows in the same step.
template <Axis A, Symbolic X>
auto softmax(const X& x) {
  using E = expr_of<X>;
  if constexpr (!reduce_detail::check<op::softmax, A, E>()) {
    return Refused{};
  } else if constexpr (E::stage == Stage::contraction || E::is_paged) {
    return Expr<f32, typename E::axes, Stage::weights, A, E::flags & kPaged>{
        softmax_node(&axis_info<A>, as_expr(x).node)};
  } else if constexpr (!reduce_detail::check_reducible<op::softmax, A, E>()) {
    return Refused{};
  } else {
    return Expr<f32, typename E::axes, Stage::norm, A>{softmax_node(&axis_info<A>, as_expr(x).node)};
  }
}

// x / sqrt(mean(x^2) + eps) * weight along A (Zhang & Sennrich 2019, arXiv:1910.07467).
template <Axis A, Symbolic X, Symbolic W>
auto rms_norm(const X& x, const W& weight, float eps) {
  using E = expr_of<X>;
  if constexpr (!reduce_detail::check_reducible<op::norm, A, E>()) {
    return Refused{};
  } else if constexpr (!reduce_detail::check_parameter<E, expr_of<W>>()) {
    return Refused{};
  } else {
    return Expr<f32, typename E::axes, Stage::norm, A>{
        rms_norm_node(&axis_info<A>, as_expr(x).node, as_expr(weight).node, eps)};
  }
}
template <Axis A, Symbolic X>
auto rms_norm(const X& x, float eps) {
  using E = expr_of<X>;
  if constexpr (!reduce_detail::check_reducible<op::norm, A, E>()) {
    return Refused{};
  } else {
    return Expr<f32, typename E::axes, Stage::norm, A>{rms_norm_node(&axis_info<A>, as_expr(x).node, nullptr, eps)};
  }
}

// (x - mean) / sqrt(variance + eps) * weight + bias along A (Ba et al. 2016, arXiv:1607.06450).
template <Axis A, Symbolic X, Symbolic W, Symbolic B>
auto layer_norm(const X& x, const W& weight, const B& bias, float eps) {
  using E = expr_of<X>;
  if constexpr (!reduce_detail::check_reducible<op::norm, A, E>()) {
    return Refused{};
  } else if constexpr (!reduce_detail::check_parameter<E, expr_of<W>>()) {
    return Refused{};
  } else if constexpr (!reduce_detail::check_parameter<E, expr_of<B>>()) {
    return Refused{};
  } else {
    return Expr<f32, typename E::axes, Stage::norm, A>{layer_norm_node(
        &axis_info<A>, as_expr(x).node, as_expr(weight).node, as_expr(bias).node, eps)};
  }
}
template <Axis A, Symbolic X>
auto layer_norm(const X& x, float eps) {
  using E = expr_of<X>;
  if constexpr (!reduce_detail::check_reducible<op::norm, A, E>()) {
    return Refused{};
  } else {
    return Expr<f32, typename E::axes, Stage::norm, A>{
        layer_norm_node(&axis_info<A>, as_expr(x).node, nullptr, nullptr, eps)};
  }
}

}  // namespace weft

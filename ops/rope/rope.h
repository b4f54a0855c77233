// Rotary position embedding along one axis, over any other axes (Su et al. 2021, arXiv:2104.09864).
//
//   rope<HeadDim>(contract<Embed>(h, w.wq), batch.pos)                      base 10000, half-split pairs
//   rope<HeadDim>(q, batch.pos, {.pairs = RopePairs::interleaved, .base = 500000.0f})
//   rope<HeadDim>(q, time, row, column, {.base = 1e6f, .sections = {16, 24, 24}})
//
// The position comes from the given value, never from a row's index: a single row at position 77 is rotated by 77.
// With `frequencies` (one per pair) the first 2*n elements turn, the rest pass: partial rotation, scaled contexts.
// Two or three positions turn a section of the pairs each, of as many as `sections` says, in their order (M-RoPE: Wang
// et al. 2024, arXiv:2409.12191): frequencies are those of the pairs, whatever turns them. Throws Error where the
// number of sections is not that of the positions.
#pragma once

#include "core/expr/combine.h"
#include "ops/rope/frequencies.h"

namespace weft {

namespace rope_detail {

template <class A, class E, class I>
consteval auto why_not() {
  if constexpr (is_refused<E> || is_refused<I>) {
    return refused_before;
  } else if constexpr (!contains_axis<A, typename E::axes>) {
    // no such axis here
    return because_of<refused<op::rope, operand_lacks<A>, because<it_has, typename E::axes>>>;
  } else if constexpr (!std::same_as<typename E::element, f32> || !std::same_as<typename I::element, i32>) {
    // rope turns f32 by i32 positions
    return because_of<
        refused<op::rope, wanted<f32>, found<typename E::element>, wanted<i32>, found<typename I::element>>>;
  } else if constexpr (!is_stored_view<I>) {
    // positions are a stored value
    return because_of<refused<op::rope, operand_is_an_expression, put_materialize_around_the_right_operand,
                              because<right_has, typename I::axes>>>;
  } else if constexpr (!is_subset<typename I::axes, remove_axes<typename E::axes, A>>) {
    // the positions' axes must be among the other axes of the value
    return because_of<refused<op::rope, because<left_operand_lacks, subtract_axes<typename I::axes, typename E::axes>>,
                              because<left_has, typename E::axes>, because<right_has, typename I::axes>>>;
  } else if constexpr (E::stage == Stage::rotated) {
    // one step rotates once
    return because_of<refused<op::rope, operand_is_a_rotation, put_materialize_around_the_left_operand,
                              because<left_has, typename E::axes>>>;
  } else if constexpr (E::stage == Stage::weights || E::stage == Stage::attention || E::stage == Stage::scanned ||
                       E::is_paged) {
    // this needs two steps
    return because_of<refused<op::rope, completion<E>, way_out<E, put_materialize_around_the_left_operand>,
                              because<left_has, typename E::axes>>>;
  } else {
    return allowed;
  }
}

template <class Why, class A, class X, class... P>
auto rotated(const X& x, RopeOptions options, const P&... positions) {
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    return Expr<f32, typename expr_of<X>::axes, Stage::rotated>{
        rope_node(&axis_info<A>, as_expr(x).node, {as_expr(positions).node...}, std::move(options))};
  }
}

}  // namespace rope_detail

template <Axis A, Symbolic X, Symbolic P>
auto rope(const X& x, const P& position, RopeOptions options = {}) {
  using Why = why_of<decltype(rope_detail::why_not<A, expr_of<X>, expr_of<P>>())>;
  static_assert(Why::value, "refused: see this error's types");
  return rope_detail::rotated<Why, A>(x, std::move(options), position);
}
template <Axis A, Symbolic X, Symbolic P, Symbolic Q>
auto rope(const X& x, const P& first, const Q& second, RopeOptions options) {
  using Why = why_of<decltype(first_refusal(rope_detail::why_not<A, expr_of<X>, expr_of<P>>(),
                                            rope_detail::why_not<A, expr_of<X>, expr_of<Q>>()))>;
  static_assert(Why::value, "refused: see this error's types");
  return rope_detail::rotated<Why, A>(x, std::move(options), first, second);
}
template <Axis A, Symbolic X, Symbolic P, Symbolic Q, Symbolic R>
auto rope(const X& x, const P& first, const Q& second, const R& third, RopeOptions options) {
  using Why = why_of<decltype(first_refusal(rope_detail::why_not<A, expr_of<X>, expr_of<P>>(),
                                            rope_detail::why_not<A, expr_of<X>, expr_of<Q>>(),
                                            rope_detail::why_not<A, expr_of<X>, expr_of<R>>()))>;
  static_assert(Why::value, "refused: see this error's types");
  return rope_detail::rotated<Why, A>(x, std::move(options), first, second, third);
}

}  // namespace weft

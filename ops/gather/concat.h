// concat<A, B, Whole>(x, y): x and then y along Whole, whose extent is that of A and B together.
//
//   concat<Nope, Rope, HeadDim>(k_nope, k_rope)    Pos x KvHead x Nope, Pos x KvHead x Rope -> Pos x KvHead x HeadDim
//
// A map: it may take part in one, be contracted or appended. Both operands are stored values or views of them, of the
// same axes otherwise; the result has those of x, with Whole in the place of A. Throws Error where one of the two is a
// slice along its part.
#pragma once

#include "ops/gather/at.h"

namespace weft {

namespace concat_detail {

template <class X, class Y, class A, class B, class Whole>
consteval auto why_not_both() {
  using XA = typename X::axes;
  using YA = typename Y::axes;
  using Rest = remove_axes<XA, A>;
  if constexpr (!is_stored_view<X>) {
    return because_of<
        refused<op::concat, operand_is_an_expression, put_materialize_around_the_left_operand, because<left_has, XA>>>;
  } else if constexpr (!is_stored_view<Y>) {
    return because_of<refused<op::concat, operand_is_an_expression, put_materialize_around_the_right_operand,
                              because<right_has, YA>>>;
  } else if constexpr (X::is_paged || Y::is_paged) {
    return because_of<
        refused<op::concat, cached_values_are_read_by_attention_only, because<left_has, XA>, because<right_has, YA>>>;
  } else if constexpr (!contains_axis<A, XA>) {
    return because_of<refused<op::concat, left_operand_lacks<A>, because<left_has, XA>>>;
  } else if constexpr (!contains_axis<B, YA>) {
    return because_of<refused<op::concat, right_operand_lacks<B>, because<right_has, YA>>>;
  } else if constexpr (!is_same_set<Rest, remove_axes<YA, B>>) {
    return because_of<refused<op::concat, because<left_operand_lacks, subtract_axes<remove_axes<YA, B>, Rest>>,
                              because<right_operand_lacks, subtract_axes<Rest, remove_axes<YA, B>>>>>;
  } else if constexpr (contains_axis<Whole, Rest>) {
    return because_of<refused<op::concat, axis_appears_twice<Whole>, because<left_has, XA>>>;
  } else if constexpr (!std::same_as<typename X::element, typename Y::element>) {
    return because_of<refused<op::concat, element_types_differ<typename X::element, typename Y::element>, use_cast>>;
  } else if constexpr (!std::same_as<typename X::element, f32> && !std::same_as<typename X::element, i32>) {
    return because_of<refused<op::concat, found<typename X::element>, use_cast>>;
  } else if constexpr (A::fixed_extent != kRunTimeExtent && B::fixed_extent != kRunTimeExtent &&
                       Whole::fixed_extent != kRunTimeExtent &&
                       A::fixed_extent + B::fixed_extent != Whole::fixed_extent) {
    return because_of<refused<op::concat, fixed_extent_of<A, A::fixed_extent>, fixed_extent_of<B, B::fixed_extent>,
                              fixed_extent_of<Whole, Whole::fixed_extent>, extents_disagree>>;
  } else {
    return allowed;
  }
}

template <class X, class Y, class A, class B, class Whole>
consteval auto why_not() {
  if constexpr (is_refused<X> || is_refused<Y>) return refused_before;
  else return why_not_both<X, Y, A, B, Whole>();
}

}  // namespace concat_detail

template <Axis A, Axis B, Axis Whole, Symbolic X, Symbolic Y>
auto concat(const X& x, const Y& y) {
  using E = expr_of<X>;
  using Why = why_of<decltype(concat_detail::why_not<E, expr_of<Y>, A, B, Whole>())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    return Expr<typename E::element, replace_axis<typename E::axes, A, Whole>, Stage::map>{
        concat_node(as_expr(x).node, &axis_info<A>, as_expr(y).node, &axis_info<B>, &axis_info<Whole>)};
  }
}

}  // namespace weft

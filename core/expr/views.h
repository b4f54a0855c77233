// Views of stored values: other names and other groupings of the same memory. They cost nothing and move nothing,
// so they apply to leaves only: values, tensors, weights, and views of them. Anything else must be materialized
// first.
//
//   rename<Pos, Key>(x)               the axis Pos is called Key
//   split<Heads, KvHead, Group>(x)    Heads = KvHead x Group, KvHead the slower
//   merge<KvHead, Group, Heads>(x)    the reverse, where the two are adjacent in this order
//   slice<Embed, Part>(x, 8, 16)      elements 8..23 of Embed, as an axis Part of extent 16
#pragma once

#include "core/expr/value.h"

namespace weft {

namespace views_detail {

template <class Op, class A, class E>
consteval auto why_no_leaf() {
  if constexpr (is_refused<E>) {
    return refused_before;
  } else if constexpr (!is_stored_view<E>) {
    // views are of stored values
    return because_of<
        refused<Op, operand_is_an_expression, put_materialize_around_the_operand, because<it_has, typename E::axes>>>;
  } else if constexpr (!contains_axis<A, typename E::axes>) {
    // the operand lacks this axis
    return because_of<refused<Op, operand_lacks<A>, because<it_has, typename E::axes>>>;
  } else {
    return allowed;
  }
}

template <class Op, class List>
consteval auto why_not_distinct() {
  if constexpr (!are_distinct<List>) {
    // the result would have the same axis twice
    return because_of<refused<Op, because<axis_appears_twice, List>>>;
  } else {
    return allowed;
  }
}

inline constexpr bool fixed(int64_t extent) { return extent != kRunTimeExtent; }

template <class E, class List>
using leaf = Expr<typename E::element, List, Stage::leaf, void, E::flags>;

// E with List as its axes; E unchanged in element and flags.
template <class Op, class A, class E, class List>
consteval auto why_no_relabel() {
  return first_refusal(why_no_leaf<Op, A, E>(), why_not_distinct<Op, List>());
}

template <class Op, class E, class Whole, class Outer, class Inner>
consteval auto why_not_product() {
  constexpr int64_t whole = Whole::fixed_extent, outer = Outer::fixed_extent, inner = Inner::fixed_extent;
  if constexpr (fixed(whole) && ((fixed(outer) && fixed(inner) && outer * inner != whole) ||
                                 (fixed(outer) && (outer == 0 || whole % outer != 0)) ||
                                 (fixed(inner) && (inner == 0 || whole % inner != 0)))) {
    // the fixed extents of the parts do not multiply to that of the whole
    return because_of<refused<Op, fixed_extent_of<Whole, whole>, fixed_extent_of<Outer, outer>,
                              fixed_extent_of<Inner, inner>, extents_disagree>>;
  } else {
    return allowed;
  }
}

template <class E, class From, class To>
consteval auto why_no_rename() {
  constexpr int64_t from = From::fixed_extent, to = To::fixed_extent;
  if constexpr (fixed(from) && fixed(to) && from != to) {
    return because_of<refused<op::rename, fixed_extent_of<From, from>, fixed_extent_of<To, to>, extents_disagree>>;
  } else {
    return allowed;
  }
}

template <class E, class Outer, class Inner>
consteval auto why_no_merge() {
  if constexpr (is_refused<E>) {
    return refused_before;
  } else if constexpr (!are_adjacent<Outer, Inner, typename E::axes>) {
    // merge<Outer, Inner, To> needs the two side by side, in this order
    return because_of<refused<op::merge, axes_are_not_adjacent<Outer, Inner>, because<it_has, typename E::axes>>>;
  } else {
    return allowed;
  }
}

// The axes of a view; empty where the operand has been refused.
template <class E>
struct axes_of {
  using type = Axes<>;
};
template <class E>
  requires(!is_refused<E>)
struct axes_of<E> {
  using type = typename E::axes;
};
template <class X>
using viewed_axes = typename axes_of<expr_of<X>>::type;

}  // namespace views_detail

template <Axis From, Axis To, Symbolic X>
auto rename(const X& x) {
  using E = expr_of<X>;
  using List = replace_axis<views_detail::viewed_axes<X>, From, To>;
  using Why = why_of<decltype(first_refusal(views_detail::why_no_relabel<op::rename, From, E, List>(),
                                            views_detail::why_no_rename<E, From, To>()))>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    return views_detail::leaf<E, List>{renamed(as_expr(x).node, &axis_info<From>, &axis_info<To>)};
  }
}

template <Axis From, Axis Outer, Axis Inner, Symbolic X>
auto split(const X& x) {
  using E = expr_of<X>;
  using List = replace_axis<views_detail::viewed_axes<X>, From, Outer, Inner>;
  using Why = why_of<decltype(first_refusal(views_detail::why_no_relabel<op::split, From, E, List>(),
                                            views_detail::why_not_product<op::split, E, From, Outer, Inner>()))>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    return views_detail::leaf<E, List>{
        split_view(as_expr(x).node, &axis_info<From>, &axis_info<Outer>, &axis_info<Inner>)};
  }
}

template <Axis Outer, Axis Inner, Axis To, Symbolic X>
auto merge(const X& x) {
  using E = expr_of<X>;
  using List = replace_axis<remove_axes<views_detail::viewed_axes<X>, Inner>, Outer, To>;
  using Why = why_of<decltype(first_refusal(
      views_detail::why_no_leaf<op::merge, Outer, E>(), views_detail::why_no_leaf<op::merge, Inner, E>(),
      views_detail::why_no_merge<E, Outer, Inner>(), views_detail::why_not_distinct<op::merge, List>(),
      views_detail::why_not_product<op::merge, E, To, Outer, Inner>()))>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    return views_detail::leaf<E, List>{
        merged_view(as_expr(x).node, &axis_info<Outer>, &axis_info<Inner>, &axis_info<To>)};
  }
}

// `count` may be left out where To has a fixed extent.
template <Axis From, Axis To, Symbolic X>
auto slice(const X& x, int64_t begin, int64_t count = To::fixed_extent) {
  using E = expr_of<X>;
  using List = replace_axis<views_detail::viewed_axes<X>, From, To>;
  using Why = why_of<decltype(views_detail::why_no_relabel<op::slice, From, E, List>())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    return views_detail::leaf<E, List>{sliced_view(as_expr(x).node, &axis_info<From>, &axis_info<To>, begin, count)};
  }
}

}  // namespace weft

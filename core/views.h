// Views of stored values: other names and other groupings of the same memory. They cost nothing and move nothing, so
// they apply to leaves only: values, tensors, weights, and views of them. Around anything else goes a materialize.
//
//   rename<Pos, Key>(x)               the axis Pos is called Key
//   split<Heads, KvHead, Group>(x)    Heads = KvHead x Group, KvHead the slower
//   merge<KvHead, Group, Heads>(x)    the reverse, where the two are adjacent in this order
//   slice<Embed, Part>(x, 8, 16)      elements 8..23 of Embed, as an axis Part of extent 16
#pragma once

#include "core/value.h"

namespace weft {

namespace views_detail {

template <class Op, class A, class E>
consteval bool check_leaf() {
  if constexpr (is_refused<E>) {
    return false;
  } else if constexpr (!is_stored_view<E>) {
    static_assert(refused<Op, operand_is_an_expression, put_materialize_around_the_operand,
                          because<it_has, typename E::axes>>::value,
                  "views are of stored values");
    return false;
  } else if constexpr (!contains_axis<A, typename E::axes>) {
    static_assert(refused<Op, operand_lacks<A>, because<it_has, typename E::axes>>::value, "no such axis here");
    return false;
  } else {
    return true;
  }
}

template <class Op, class List>
consteval bool check_distinct() {
  if constexpr (!are_distinct<List>) {
    static_assert(refused<Op, because<axis_appears_twice, List>>::value, "the result would have one axis twice");
    return false;
  } else {
    return true;
  }
}

inline constexpr bool fixed(int64_t extent) { return extent != kRunTimeExtent; }

template <class E, class List>
using leaf = Expr<typename E::element, List, Stage::leaf, void, E::flags>;

}  // namespace views_detail

template <Axis From, Axis To, Symbolic X>
auto rename(const X& x) {
  using E = expr_of<X>;
  if constexpr (!views_detail::check_leaf<op::rename, From, E>()) {
    return Refused{};
  } else if constexpr (views_detail::fixed(From::fixed_extent) && views_detail::fixed(To::fixed_extent) &&
                       From::fixed_extent != To::fixed_extent) {
    static_assert(refused<op::rename, fixed_extent_of<From, From::fixed_extent>, fixed_extent_of<To, To::fixed_extent>,
                          extents_disagree>::value,
                  "the two axes have different fixed extents");
    return Refused{};
  } else {
    using List = replace_axis<typename E::axes, From, To>;
    if constexpr (!views_detail::check_distinct<op::rename, List>()) return Refused{};
    else return views_detail::leaf<E, List>{renamed(*as_expr(x).node, &axis_info<From>, &axis_info<To>)};
  }
}

template <Axis From, Axis Outer, Axis Inner, Symbolic X>
auto split(const X& x) {
  using E = expr_of<X>;
  using views_detail::fixed;
  if constexpr (!views_detail::check_leaf<op::split, From, E>()) {
    return Refused{};
  } else if constexpr (fixed(From::fixed_extent) &&
                       ((fixed(Outer::fixed_extent) && fixed(Inner::fixed_extent) &&
                         Outer::fixed_extent * Inner::fixed_extent != From::fixed_extent) ||
                        (fixed(Outer::fixed_extent) && From::fixed_extent % Outer::fixed_extent != 0) ||
                        (fixed(Inner::fixed_extent) && From::fixed_extent % Inner::fixed_extent != 0))) {
    static_assert(refused<op::split, fixed_extent_of<From, From::fixed_extent>,
                          fixed_extent_of<Outer, Outer::fixed_extent>, fixed_extent_of<Inner, Inner::fixed_extent>,
                          extents_disagree>::value,
                  "the parts' fixed extents do not multiply to the whole's");
    return Refused{};
  } else {
    using List = replace_axis<typename E::axes, From, Outer, Inner>;
    if constexpr (!views_detail::check_distinct<op::split, List>()) {
      return Refused{};
    } else {
      return views_detail::leaf<E, List>{
          split_view(*as_expr(x).node, &axis_info<From>, &axis_info<Outer>, &axis_info<Inner>)};
    }
  }
}

template <Axis Outer, Axis Inner, Axis To, Symbolic X>
auto merge(const X& x) {
  using E = expr_of<X>;
  using views_detail::fixed;
  if constexpr (!views_detail::check_leaf<op::merge, Outer, E>()) {
    return Refused{};
  } else if constexpr (!views_detail::check_leaf<op::merge, Inner, E>()) {
    return Refused{};
  } else if constexpr (!are_adjacent<Outer, Inner, typename E::axes>) {
    static_assert(refused<op::merge, axes_are_not_adjacent<Outer, Inner>, because<it_has, typename E::axes>>::value,
                  "merge<Outer, Inner, To> needs the two side by side, in this order");
    return Refused{};
  } else if constexpr (fixed(To::fixed_extent) && fixed(Outer::fixed_extent) && fixed(Inner::fixed_extent) &&
                       Outer::fixed_extent * Inner::fixed_extent != To::fixed_extent) {
    static_assert(refused<op::merge, fixed_extent_of<Outer, Outer::fixed_extent>,
                          fixed_extent_of<Inner, Inner::fixed_extent>, fixed_extent_of<To, To::fixed_extent>,
                          extents_disagree>::value,
                  "the parts' fixed extents do not multiply to the whole's");
    return Refused{};
  } else {
    using List = replace_axis<remove_axes<typename E::axes, Inner>, Outer, To>;
    if constexpr (!views_detail::check_distinct<op::merge, List>()) {
      return Refused{};
    } else {
      return views_detail::leaf<E, List>{
          merged_view(*as_expr(x).node, &axis_info<Outer>, &axis_info<Inner>, &axis_info<To>)};
    }
  }
}

// `count` may be left out where To has a fixed extent.
template <Axis From, Axis To, Symbolic X>
auto slice(const X& x, int64_t begin, int64_t count = To::fixed_extent) {
  using E = expr_of<X>;
  if constexpr (!views_detail::check_leaf<op::slice, From, E>()) {
    return Refused{};
  } else {
    using List = replace_axis<typename E::axes, From, To>;
    if constexpr (!views_detail::check_distinct<op::slice, List>()) {
      return Refused{};
    } else {
      return views_detail::leaf<E, List>{
          sliced_view(*as_expr(x).node, &axis_info<From>, &axis_info<To>, begin, count)};
    }
  }
}

}  // namespace weft

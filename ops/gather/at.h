// at<A>(table, ids): the element or row of `table` that `ids` names on axis A. An id outside the axis reads as 0.
//
//   at<Vocab>(embedding, tokens)   Weight<Vocab, Embed>, Value<i32, Pos> -> Pos x Embed
//   at<Expert>(w, ids)             a weight selected per row, where contract takes it
#pragma once

#include "core/combine.h"

namespace weft {

// The axes of ids stand where A stood. Both operands are stored values or views of them.
template <Axis A, Symbolic X, Symbolic I>
auto at(const X& table, const I& ids) {
  using T = expr_of<X>;
  using K = expr_of<I>;
  if constexpr (is_refused<T> || is_refused<K>) {
    return Refused{};
  } else if constexpr (!(T::stage == Stage::leaf || T::stage == Stage::gathered)) {
    static_assert(refused<op::at, operand_is_an_expression, put_materialize_around_the_left_operand,
                          because<left_has, typename T::axes>>::value,
                  "at selects from stored values");
    return Refused{};
  } else if constexpr (!is_stored_view<K>) {
    static_assert(refused<op::at, operand_is_an_expression, put_materialize_around_the_right_operand,
                          because<right_has, typename K::axes>>::value,
                  "ids are a stored value");
    return Refused{};
  } else if constexpr (T::is_paged || K::is_paged) {
    static_assert(refused<op::at, cached_values_are_read_by_attention_only, because<left_has, typename T::axes>>::value, "a cache is not a table");
    return Refused{};
  } else if constexpr (!std::same_as<typename K::element, i32>) {
    static_assert(refused<op::at, wanted<i32>, found<typename K::element>>::value, "ids are i32");
    return Refused{};
  } else if constexpr (!contains_axis<A, typename T::axes>) {
    static_assert(refused<op::at, operand_lacks<A>, because<it_has, typename T::axes>>::value, "no such axis here");
    return Refused{};
  } else {
    // An axis that both have is the ids': each row of ids selects among its own.
    using Rest = subtract_axes<remove_axes<typename T::axes, A>, typename K::axes>;
    using List = std::conditional_t<
        is_subset<typename K::axes, remove_axes<typename T::axes, A>>, remove_axes<typename T::axes, A>,
        typename axes_detail::replace<typename axes_detail::keep<typename T::axes, concat_axes<Rest, Axes<A>>>::type, A,
                                      typename K::axes>::type>;
    return Expr<typename T::element, List, Stage::gathered>{
        gathered_view(*as_expr(table).node, &axis_info<A>, as_expr(ids).node)};
  }
}

}  // namespace weft

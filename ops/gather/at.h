// at<A>(table, ids): the element or row of `table` that `ids` names on axis A. An id outside the axis reads as 0.
//
//   at<Vocab>(embedding, tokens)   Weight<Vocab, Embed>, Value<i32, Pos> -> Pos x Embed
//   at<Expert>(w, ids)             a weight selected per row, where contract takes it
//   at<Bucket>(bias, minimum(batch.pos - K.pos(), 31))   by ids that are computed: a map, in a score too
//   at<Tap>(w, 3)                                        one row
//
// Ids are a stored value or a view of one (what contract takes), or an expression. Of batch.tokens and batch.pos
// themselves, an id outside the axis is an error before the run (Graph::ids).
#pragma once

#include "core/expr/combine.h"

namespace weft {

namespace at_detail {

// Ids that are there before the step; any others are computed element by element.
template <class K>
inline constexpr bool selects_rows = is_stored_view<K> && !K::is_paged;

template <class A, class T, class K>
consteval auto why_not() {
  if constexpr (is_refused<T> || is_refused<K>) {
    return refused_before;
  } else if constexpr (!(T::stage == Stage::leaf || T::stage == Stage::gathered)) {
    // at selects from stored values
    return because_of<refused<op::at, operand_is_an_expression, put_materialize_around_the_left_operand,
                              because<left_has, typename T::axes>>>;
  } else if constexpr (T::is_paged) {
    // a cache is not a table
    return because_of<refused<op::at, cached_values_are_read_by_attention_only, because<left_has, typename T::axes>>>;
  } else if constexpr (!std::same_as<typename K::element, i32>) {
    // ids are i32
    return because_of<refused<op::at, wanted<i32>, found<typename K::element>, use_cast>>;
  } else if constexpr (!contains_axis<A, typename T::axes>) {
    // no such axis here
    return because_of<refused<op::at, operand_lacks<A>, because<it_has, typename T::axes>>>;
  } else if constexpr (K::stage == Stage::weights || K::stage == Stage::attention) {
    // this needs two steps
    return because_of<refused<op::at, completion<K>, way_out<K, put_materialize_around_the_right_operand>,
                              because<right_has, typename K::axes>>>;
  } else if constexpr (!selects_rows<K> && T::stage == Stage::gathered) {
    // one step gathers by stored ids, or looks up by computed ones
    return because_of<refused<op::at, operand_is_an_expression, put_materialize_around_the_right_operand,
                              because<right_has, typename K::axes>>>;
  } else if constexpr (!selects_rows<K> && std::same_as<typename T::element, bool>) {
    return because_of<refused<op::at, found<bool>, put_materialize_around_the_right_operand>>;
  } else {
    return allowed;
  }
}

}  // namespace at_detail

// The axes of ids take the place of A.
template <Axis A, Symbolic X, Operable I>
auto at(const X& table, const I& ids) {
  using T = expr_of<X>;
  using K = expr_of<I>;
  using Why = why_of<decltype(at_detail::why_not<A, T, K>())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    // An axis that both have is the ids': each row of ids selects among its own.
    using Rest = subtract_axes<remove_axes<typename T::axes, A>, typename K::axes>;
    using List = std::conditional_t<
        is_subset<typename K::axes, remove_axes<typename T::axes, A>>, remove_axes<typename T::axes, A>,
        typename axes_detail::replace<typename axes_detail::keep<typename T::axes, concat_axes<Rest, Axes<A>>>::type, A,
                                      typename K::axes>::type>;
    if constexpr (at_detail::selects_rows<K>) {
      return Expr<typename T::element, List, Stage::gathered>{
          gathered_view(as_expr(table).node, &axis_info<A>, as_expr(ids).node)};
    } else {
      constexpr Stage kStage = is_mapped<K> ? Stage::map : K::stage;
      return Expr<typename T::element, List, kStage, typename K::along, K::flags & kPaged>{
          lookup_node(as_expr(table).node, &axis_info<A>, as_expr(ids).node)};
    }
  }
}

}  // namespace weft

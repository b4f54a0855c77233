// The rules for operands of one elementwise operation: which axes the result has, and whether the operands can be
// computed in one step.
#pragma once

#include "core/expr/expr.h"

namespace weft {

// Axes of an elementwise result. Nested sets: the order of the larger side (of the left one if equal). Coordinates
// broadcast freely and never lead: axes that only they have come last.
template <class A, class B>
inline constexpr bool axes_combine =
    is_subset<typename A::axes, typename B::axes> || is_subset<typename B::axes, typename A::axes> ||
    A::is_coordinate || B::is_coordinate;

namespace combine_detail {

template <class First, class Second>
using first_then_rest = concat_axes<First, subtract_axes<Second, First>>;

template <class A, class B>
consteval auto axes() {
  using L = typename A::axes;
  using R = typename B::axes;
  if constexpr (A::is_coordinate != B::is_coordinate) {
    using Leading = std::conditional_t<A::is_coordinate, R, L>;
    using Coordinate = std::conditional_t<A::is_coordinate, L, R>;
    return std::type_identity<first_then_rest<Leading, Coordinate>>{};
  } else if constexpr (is_subset<R, L>) {
    return std::type_identity<L>{};
  } else if constexpr (is_subset<L, R>) {
    return std::type_identity<R>{};
  } else {
    return std::type_identity<first_then_rest<L, R>>{};
  }
}

}  // namespace combine_detail

template <class A, class B>
using combined_axes = typename decltype(combine_detail::axes<A, B>())::type;

// Why two operands cannot be combined in one step; `void` if they can.
template <class A, class B>
consteval auto step_conflict_of() {
  constexpr Stage a = A::stage, b = B::stage;
  if constexpr (a == Stage::attention || b == Stage::attention) {
    return std::type_identity<operand_is_an_attention>{};
  } else if constexpr (a == Stage::weights || b == Stage::weights) {
    return std::type_identity<operand_is_a_softmax_of_a_contraction>{};
  } else if constexpr (is_mapped<A> || is_mapped<B>) {
    return std::type_identity<void>{};
  } else if constexpr (a == Stage::norm && b == Stage::norm) {
    if constexpr (std::is_same_v<typename A::along, typename B::along>) return std::type_identity<void>{};
    else return std::type_identity<both_operands_are_norms>{};
  } else if constexpr (a == Stage::normalized && b == Stage::normalized) {
    if constexpr (std::is_same_v<typename A::along, typename B::along>) return std::type_identity<void>{};
    else return std::type_identity<both_operands_are_norms>{};
  } else if constexpr (is_contracted<A> && is_contracted<B>) {
    return std::type_identity<void>{};
  } else if constexpr (a == Stage::scanned && b == Stage::scanned) {
    return std::type_identity<void>{};  // of the same scan: silu(scan(...)); the recorder refuses a second one
  } else if constexpr (a == Stage::scanned || b == Stage::scanned) {
    return std::type_identity<a_scan_meets_a_norm_rotation_or_contraction>{};
  } else if constexpr (a == Stage::rotated && b == Stage::rotated) {
    return std::type_identity<both_operands_are_rotated>{};
  } else if constexpr (a == Stage::rotated || b == Stage::rotated) {
    return std::type_identity<a_rotation_meets_a_norm_or_contraction>{};
  } else {
    return std::type_identity<a_norm_meets_a_contraction>{};
  }
}
template <class A, class B>
using step_conflict = typename decltype(step_conflict_of<A, B>())::type;

// Why an expression has to be materialized before another operation that is not elementwise; `void` if it need not.
template <class E>
consteval auto completion_of() {
  if constexpr (E::stage == Stage::attention) return std::type_identity<operand_is_an_attention>{};
  else if constexpr (E::stage == Stage::weights) return std::type_identity<operand_is_a_softmax_of_a_contraction>{};
  else if constexpr (E::stage == Stage::scanned) return std::type_identity<operand_is_a_scan>{};
  else if constexpr (E::is_paged) return std::type_identity<cached_values_are_read_by_attention_only>{};
  else return std::type_identity<void>{};
}
template <class E>
using completion = typename decltype(completion_of<E>())::type;

// Where materialize goes, if anywhere, so that E may be an operand; Around: of which one.
template <class E, class Around = put_materialize_around_the_operand>
using way_out = std::conditional_t<
    E::is_paged, only_contract_over_a_softmax_reduces_cached_scores,
    std::conditional_t<E::stage == Stage::weights, put_materialize_around_what_softmax_takes, Around>>;

// The elementwise result of two operands that combine, as an expression type of element T.
template <class T, class A, class B>
struct combined {
  // The side that has come further in the grammar.
  using Further = std::conditional_t<is_mapped<A> || B::stage == Stage::normalized, B, A>;
  static constexpr Stage stage = is_mapped<A> && is_mapped<B> ? Stage::map : Further::stage;
  using along = typename Further::along;
  static constexpr unsigned flags = (A::flags & B::flags & kCoordinate) | ((A::flags | B::flags) & kPaged);
  using type = Expr<T, combined_axes<A, B>, stage, along, flags>;
};
template <class T, class A, class B>
using combined_expr = typename combined<T, A, B>::type;

// One operand of a map: a leaf becomes a map.
template <class T, class A>
using mapped_expr =
    Expr<T, typename A::axes, is_mapped<A> ? Stage::map : A::stage, typename A::along, A::flags & ~kSoftmax>;

// Why A and B do not combine in operation Op.
template <class Op, class A, class B>
consteval auto why_not_combined() {
  if constexpr (is_refused<A> || is_refused<B>) {
    return refused_before;
  } else if constexpr (!axes_combine<A, B>) {
    // the axes of one operand must contain those of the other; nothing broadcasts both ways
    return because_of<refused<Op, because<left_operand_lacks, subtract_axes<typename B::axes, typename A::axes>>,
                              because<right_operand_lacks, subtract_axes<typename A::axes, typename B::axes>>>>;
  } else if constexpr (!std::is_void_v<step_conflict<A, B>>) {
    // this needs two steps
    using Worse = std::conditional_t<A::stage == Stage::weights, A, B>;
    return because_of<refused<
        Op, step_conflict<A, B>,
        std::conditional_t<Worse::stage == Stage::weights, way_out<Worse>, put_materialize_around_one_of_the_operands>,
        because<left_has, typename A::axes>, because<right_has, typename B::axes>>>;
  } else {
    return allowed;
  }
}

}  // namespace weft

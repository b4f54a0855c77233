// Contraction: the sum of products over named axes, which both sides have. And attention, which is one expression:
//
//   contract<Embed>(h, w.wq)                            Pos x Embed, KvHead x Group x HeadDim x Embed
//                                                         -> Pos x KvHead x Group x HeadDim
//   contract<Key>(softmax<Key>(score), v)               the fused attention step: of a score that contracts queries
//                                                         with keys, or of coordinates alone over cached values
//   contract<Key>(softmax<Key>(score, sink), v)         the same with a sink: a map over axes of the queries
//
// Other axes that both sides share are batch axes; the rest form the outer product. The result has the left side's
// remaining axes in their order, then the right side's. Left: a map or a norm; right: a stored value, a view of one,
// a cached field, or at<A>(weight, ids), a weight selected per row. What surrounds it (the epilogue) is fused: maps,
// norms along an axis of the result, a rope, and a choice.
#pragma once

#include "core/expr/combine.h"

namespace weft {

namespace contract_detail {

// A score over index<Key>() reads no cache; the values that it weighs do.
template <class Over, class L, class R>
inline constexpr bool is_attention = L::stage == Stage::weights || (R::is_paged && (L::flags & kSoftmax) != 0 &&
                                                                    std::same_as<Over, Axes<typename L::along>>);

template <class Over, class L, class R>
consteval auto why_not_both() {
  using LA = typename L::axes;
  using RA = typename R::axes;
  if constexpr (!is_subset<Over, LA>) {
    // a contracted axis is missing on the left
    return because_of<refused<op::contract, because<left_operand_lacks, subtract_axes<Over, LA>>, because<left_has, LA>,
                              because<right_has, RA>>>;
  } else if constexpr (!is_subset<Over, RA>) {
    // a contracted axis is missing on the right
    return because_of<refused<op::contract, because<right_operand_lacks, subtract_axes<Over, RA>>,
                              because<left_has, LA>, because<right_has, RA>>>;
  } else if constexpr (!std::same_as<typename L::element, f32> || !std::same_as<typename R::element, f32>) {
    // contractions are of f32
    return because_of<
        refused<op::contract, element_types_differ<typename L::element, typename R::element>, wanted<f32>, use_cast>>;
  } else if constexpr (L::stage != Stage::weights && L::is_paged) {
    // what reads a cache must go through softmax into contract
    return because_of<refused<op::contract, cached_values_are_read_by_attention_only, way_out<L>, because<left_has, LA>,
                              because<right_has, RA>>>;
  } else if constexpr (is_contracted<L>) {
    // this needs two steps
    return because_of<refused<op::contract, operand_is_a_contraction, put_materialize_around_the_left_operand,
                              because<left_has, LA>, because<right_has, RA>>>;
  } else if constexpr (L::stage == Stage::rotated) {
    // this needs two steps
    return because_of<refused<op::contract, operand_is_a_rotation, put_materialize_around_the_left_operand,
                              because<left_has, LA>, because<right_has, RA>>>;
  } else if constexpr (L::stage == Stage::scanned) {
    // this needs two steps
    return because_of<refused<op::contract, operand_is_a_scan, put_materialize_around_the_left_operand,
                              because<left_has, LA>, because<right_has, RA>>>;
  } else if constexpr (L::stage == Stage::attention) {
    // this needs two steps
    return because_of<refused<op::contract, operand_is_an_attention, put_materialize_around_the_left_operand,
                              because<left_has, LA>, because<right_has, RA>>>;
  } else if constexpr (R::stage != Stage::leaf && R::stage != Stage::gathered) {
    // the right side is a stored value, or at<A>(weight, ids)
    return because_of<refused<op::contract, operand_is_an_expression, put_materialize_around_the_right_operand,
                              because<left_has, LA>, because<right_has, RA>>>;
  } else if constexpr (L::stage == Stage::weights && !std::same_as<Over, Axes<typename L::along>>) {
    // attention contracts the axis that softmax ran over
    return because_of<refused<op::contract, softmax_of_a_contraction_goes_into_contract_over,
                              reduced_along<typename L::along>, because<contracted_over, Over>>>;
  } else if constexpr (is_attention<Over, L, R> && (R::flags & kForScores) != 0) {
    // keys are not what the softmax weighs
    return because_of<refused<op::contract, cache_field_is_for_scores, because<left_has, LA>, because<right_has, RA>>>;
  } else if constexpr (!is_attention<Over, L, R> && (R::flags & kForValues) != 0) {
    // values are no part of scores
    return because_of<refused<op::contract, cache_field_is_for_values, because<left_has, LA>, because<right_has, RA>>>;
  } else {
    return allowed;
  }
}

template <class Over, class L, class R>
consteval auto why_not() {
  if constexpr (is_refused<L> || is_refused<R>) return refused_before;
  else return why_not_both<Over, L, R>();
}

}  // namespace contract_detail

// The sum over axes Over of the products of left and right, as this file's comment says.
template <Axis... Over, Symbolic A, Symbolic B>
  requires(sizeof...(Over) > 0)
auto contract(const A& left, const B& right) {
  using L = expr_of<A>;
  using R = expr_of<B>;
  using Why = why_of<decltype(contract_detail::why_not<Axes<Over...>, L, R>())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    using LA = typename L::axes;
    using RA = typename R::axes;
    using Rest = subtract_axes<subtract_axes<RA, Axes<Over...>>, LA>;
    using Result = concat_axes<remove_axes<LA, Over...>, Rest>;
    NodePtr node = contract_node(axis_list<intersect_axes<RA, Axes<Over...>>>::get(), axis_list<LA>::get(),
                                 as_expr(left).node, as_expr(right).node);
    if constexpr (contract_detail::is_attention<Axes<Over...>, L, R>)
      return Expr<f32, Result, Stage::attention, remove_axes<LA, Over...>>{std::move(node)};
    else return Expr<f32, Result, Stage::contraction, void, (L::flags | R::flags) & kPaged>{std::move(node)};
  }
}

}  // namespace weft

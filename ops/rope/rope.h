// Rotary position embedding along one axis, over any other axes (Su et al. 2021, arXiv:2104.09864).
//
//   rope<HeadDim>(contract<Embed>(h, w.wq), batch.pos)                      base 10000, half-split pairs
//   rope<HeadDim>(q, batch.pos, {.pairs = RopePairs::interleaved, .base = 500000.0f})
//
// The position comes from the value given, never from where a row stands: one row at position 77 is turned by 77.
// With `frequencies` (one per pair) the first 2*n elements turn, the rest pass: partial rotation, scaled contexts.
#pragma once

#include <cmath>
#include <span>
#include <vector>

#include "core/combine.h"

namespace weft {

template <Axis A, Symbolic X, Symbolic P>
auto rope(const X& x, const P& position, RopeOptions options = {}) {
  using E = expr_of<X>;
  using I = expr_of<P>;
  if constexpr (is_refused<E> || is_refused<I>) {
    return Refused{};
  } else if constexpr (!contains_axis<A, typename E::axes>) {
    static_assert(refused<op::rope, operand_lacks<A>, because<it_has, typename E::axes>>::value, "no such axis here");
    return Refused{};
  } else if constexpr (!std::same_as<typename E::element, f32> || !std::same_as<typename I::element, i32>) {
    static_assert(refused<op::rope, wanted<f32>, found<typename E::element>, wanted<i32>,
                          found<typename I::element>>::value,
                  "rope turns f32 by i32 positions");
    return Refused{};
  } else if constexpr (!is_stored_view<I>) {
    static_assert(refused<op::rope, operand_is_an_expression, put_materialize_around_the_right_operand,
                          because<right_has, typename I::axes>>::value,
                  "positions are a stored value");
    return Refused{};
  } else if constexpr (!is_subset<typename I::axes, remove_axes<typename E::axes, A>>) {
    static_assert(refused<op::rope, because<left_operand_lacks, subtract_axes<typename I::axes, typename E::axes>>,
                          because<left_has, typename E::axes>, because<right_has, typename I::axes>>::value,
                  "the positions' axes must be among the other axes of the value");
    return Refused{};
  } else if constexpr (E::stage == Stage::rotated) {
    static_assert(refused<op::rope, operand_is_a_rotation, put_materialize_around_the_left_operand,
                          because<left_has, typename E::axes>>::value,
                  "one step rotates once");
    return Refused{};
  } else if constexpr (E::stage == Stage::weights || E::stage == Stage::attention || E::is_paged) {
    static_assert(refused<op::rope, step_conflict<E, E>, put_materialize_around_the_left_operand,
                          because<left_has, typename E::axes>>::value,
                  "this needs two steps");
    return Refused{};
  } else {
    return Expr<f32, typename E::axes, Stage::rotated>{
        rope_node(&axis_info<A>, as_expr(x).node, as_expr(position).node, std::move(options))};
  }
}

// base^(-2i/dims) for i < dims/2, divided by factors[i] where factors are given (as GGUF's rope_freqs tensor holds
// them). `dims` may be smaller than the axis: partial rotation.
inline std::vector<float> rope_frequencies(float base, int dims, std::span<const float> factors = {}) {
  std::vector<float> frequencies(static_cast<size_t>(dims / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / dims;
    frequencies[i] = static_cast<float>(std::pow(static_cast<double>(base), exponent));
    if (!factors.empty()) frequencies[i] /= factors[i];
  }
  return frequencies;
}

}  // namespace weft

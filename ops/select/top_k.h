// Row-wise choice: argmax<A>(x), and top_k<A, Choice>(x, k) with two results of one step.
//
//   auto [p, ids] = materialize(top_k<Expert, Choice>(contract<Embed>(h, w.router), 2));
//
// Values descend; ties go to the lower index; NaN counts as -inf. k is at most the extent of A.
#pragma once

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/expr/value.h"
#include "ops/reduce/reduce.h"

namespace weft {

// A choice along an axis, before materialize. List: the axes of its results.
template <class List, bool WithValues>
struct Choose {
  RegionRequest region;
  const AxisInfo* axis = nullptr;
  const AxisInfo* choice = nullptr;
  int64_t count = 0;
};

namespace select_detail {

template <class Op, class A, class E>
consteval auto why_not() {
  if constexpr (is_refused<E>) {
    return refused_before;
  } else if constexpr (E::stage == Stage::weights || E::stage == Stage::attention || E::stage == Stage::scanned ||
                       E::is_paged) {
    return because_of<refused<Op, completion<E>, way_out<E>, because<it_has, typename E::axes>>>;
  } else {
    return reduce_detail::why_not<Op, A, E>();
  }
}

template <class C>
StepRequest request(const C& choose, std::string name) {
  return {.regions = {choose.region},
          .name = std::move(name),
          .select = choose.axis,
          .choice = choose.choice,
          .choices = choose.count};
}

}  // namespace select_detail

// `k` may be left out where Choice has a fixed extent.
template <Axis A, Axis Choice, Symbolic X>
auto top_k(const X& x, int64_t k = Choice::fixed_extent) {
  using E = expr_of<X>;
  using Why = why_of<decltype(select_detail::why_not<op::top_k, A, E>())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return RefusedResults<2>{};
  } else {
    return Choose<replace_axis<typename E::axes, A, Choice>, true>{
        {as_expr(x).node, axis_list<typename E::axes>::get()}, &axis_info<A>, &axis_info<Choice>, k};
  }
}

// The lowest index of the largest along A: i32. Of a map or norm it may be used further in the same step; of a
// contraction it is the step's result.
template <Axis A, Symbolic X>
auto argmax(const X& x) {
  using E = expr_of<X>;
  using Why = why_of<decltype(select_detail::why_not<op::reduce, A, E>())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    if constexpr (is_mapped<E> || (E::stage == Stage::norm && std::same_as<typename E::along, A>)) {
      return reduce_detail::reduce<A, ReduceOp::argmax>(as_expr(x));
    } else {
      return Choose<remove_axes<typename E::axes, A>, false>{
          {as_expr(x).node, axis_list<typename E::axes>::get()}, &axis_info<A>, nullptr, 1};
    }
  }
}

// {values, ids} of a top_k.
template <class... A>
std::tuple<Value<f32, A...>, Value<i32, A...>> materialize(const Choose<Axes<A...>, true>& choose,
                                                           std::string name = {}) {
  const std::vector<ValueId> ids = record_step(select_detail::request(choose, std::move(name)));
  const auto recorder = find_recorder(choose.region.expression);
  return {Value<f32, A...>(recorder, ids[0]), Value<i32, A...>(recorder, ids[1])};
}

template <class... A>
Value<i32, A...> materialize(const Choose<Axes<A...>, false>& choose, std::string name = {}) {
  return {find_recorder(choose.region.expression), record_step(select_detail::request(choose, std::move(name)))[0]};
}

}  // namespace weft

// append(cache, x...): one expression per field of the cache, written to the batch's slots by one step. Its
// materialize gives the fields as Paged handles.
#pragma once

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/expr/cache.h"
#include "core/expr/combine.h"

namespace weft {

template <class C>
struct Append {
  C cache;
  std::vector<RegionRequest> regions;
};

namespace append_detail {

template <class F, class X>
consteval auto why_no_field() {
  using E = expr_of<X>;
  using Wanted = concat_axes<Axes<Pos>, typename F::row>;
  if constexpr (is_refused<E>) {
    return refused_before;
  } else if constexpr (!is_subset<typename E::axes, Wanted> || !is_subset<Wanted, typename E::axes>) {
    // a cache field holds, per token, exactly its own axes
    return because_of<refused<op::append, because<extra_axes, subtract_axes<typename E::axes, Wanted>>,
                              because<operand_lacks, subtract_axes<Wanted, typename E::axes>>,
                              because<value_has, typename E::axes>, because<cache_field_has, typename F::axes>>>;
  } else if constexpr (!std::same_as<typename E::element, f32>) {
    // caches hold f32
    return because_of<refused<op::append, wanted<f32>, found<typename E::element>, use_cast>>;
  } else if constexpr (E::stage == Stage::weights || E::stage == Stage::attention || E::stage == Stage::scanned ||
                       E::is_paged) {
    // this needs two steps
    return because_of<refused<op::append, completion<E>, way_out<E>>>;
  } else {
    return allowed;
  }
}

template <class Fields, class... X>
struct fields;
template <class... F, class... X>
struct fields<Cache<F...>, X...> {
  static consteval auto why_not() {
    if constexpr (sizeof...(F) != sizeof...(X)) {
      return because_of<refused<op::append, wrong_number_of_fields, because<cache_field_has, typename F::axes>...>>;
    } else {
      return first_refusal(why_no_field<F, X>()...);
    }
  }
};

}  // namespace append_detail

// Each x has the axis Pos and its field's axes after the key, in any order.
template <class... F, class... X>
auto append(const Cache<F...>& cache, const X&... x) {
  using Why = why_of<decltype(append_detail::fields<Cache<F...>, X...>::why_not())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return RefusedResults<sizeof...(F)>{};
  } else {
    return Append<Cache<F...>>{cache,
                               {{as_expr(x).node, axis_list<concat_axes<Axes<Pos>, typename F::row>>::get()}...}};
  }
}

// The fields after this step: structured bindings take them apart.
template <class... F>
std::tuple<Paged<F>...> materialize(const Append<Cache<F...>>& append, std::string name = {}) {
  record_step({.regions = append.regions, .name = std::move(name), .cache = append.cache.index()},
              append.cache.recorder());
  return [&append]<size_t... I>(std::index_sequence<I...>) {
    return std::tuple<Paged<F>...>{append.cache.template paged<F>(I)...};
  }(std::index_sequence_for<F...>{});
}

}  // namespace weft

// append(cache, x...): one expression per field of the cache, written to the batch's slots by one step. Its
// materialize gives the fields as Paged handles.
#pragma once

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/cache.h"
#include "core/combine.h"

namespace weft {

template <class C>
struct Append {
  C cache;
  std::vector<RegionRequest> regions;
};

namespace append_detail {

template <class F, class X>
consteval bool check_field() {
  using E = expr_of<X>;
  using Wanted = concat_axes<Axes<Pos>, typename F::row>;
  if constexpr (is_refused<E>) {
    return false;
  } else if constexpr (!is_subset<typename E::axes, Wanted> || !is_subset<Wanted, typename E::axes>) {
    static_assert(refused<op::append, because<extra_axes, subtract_axes<typename E::axes, Wanted>>,
                          because<operand_lacks, subtract_axes<Wanted, typename E::axes>>,
                          because<value_has, typename E::axes>, because<cache_field_has, typename F::axes>>::value,
                  "a cache field holds, per token, exactly its own axes");
    return false;
  } else if constexpr (!std::same_as<typename E::element, f32>) {
    static_assert(refused<op::append, wanted<f32>, found<typename E::element>, use_cast>::value, "caches hold f32");
    return false;
  } else if constexpr (E::stage == Stage::weights || E::stage == Stage::attention || E::is_paged) {
    static_assert(refused<op::append, step_conflict<E, E>, put_materialize_around_the_operand>::value,
                  "this needs two steps");
    return false;
  } else {
    return true;
  }
}

}  // namespace append_detail

// Each x has the axis Pos and its field's axes after the key, in any order.
template <class... F, class... X>
auto append(Cache<F...>& cache, const X&... x) {
  if constexpr (sizeof...(F) != sizeof...(X)) {
    static_assert(refused<op::append, wrong_number_of_fields, because<cache_field_has, typename F::axes>...>::value, "one expression per field of the cache");
    return Refused{};
  } else if constexpr (!(append_detail::check_field<F, X>() && ...)) {
    return Refused{};
  } else {
    return Append<Cache<F...>>{
        cache, {{as_expr(x).node, axis_list<concat_axes<Axes<Pos>, typename F::row>>::get()}...}};
  }
}

// The fields as they stand after this step: structured bindings take them apart.
template <class... F>
std::tuple<Paged<F>...> materialize(const Append<Cache<F...>>& append, std::string name = {}) {
  record_step({.regions = append.regions, .name = std::move(name), .cache = append.cache.index()},
              append.cache.recorder());
  return [&append]<size_t... I>(std::index_sequence<I...>) {
    return std::tuple<Paged<F>...>{append.cache.template paged<F>(I)...};
  }(std::index_sequence_for<F...>{});
}

}  // namespace weft

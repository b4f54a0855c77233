// What the softmax of an attention is like, as further results of the attention's step:
//
//   auto [a, log_sum_exp, largest, entropy] = materialize(with_statistics(contract<Key>(softmax<Key>(score), v)));
//
// Each is f32 over the query's axes, those of `score` without Key: Pos x KvHead x Group, say. For each query row of
// each head, of the scores s_i of the keys that it sees, and their weights p_i = exp(s_i) / sum_j exp(s_j):
//
//   log_sum_exp   log sum_i exp(s_i), in nats: p_i = exp(s_i - log_sum_exp)
//   largest       max_i s_i, in nats, as scores are
//   entropy       -sum_i p_i log p_i = log_sum_exp - sum_i p_i s_i, in nats: 0 where one key has all weight,
//                 log n where n keys share it evenly
//
// A sink is one more s_i, of no key: all three count it. A row that sees nothing has -inf, -inf and 0, with a sink too.
// A score that is NaN or inf makes the first and the last NaN; `largest` ignores NaN. The first two are what the online
// softmax keeps anyway (Milakov & Gimelshein 2018, arXiv:1805.02867); the entropy is made of a third sum, which is
// rescaled as they are when a larger score comes. The products of such a step are never those of bf16, whatever the
// plan's precision; an attention without statistics runs as ever.
#pragma once

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/expr/value.h"

namespace weft {

// An attention and its statistics, before materialize. Result, Query: the axes of the one and of the others.
template <class Result, class Query>
struct WithStatistics {
  RegionRequest region;
};

namespace attention_detail {

template <class E>
consteval auto why_no_statistics() {
  if constexpr (is_refused<E>) return refused_before;
  else if constexpr (E::stage == Stage::attention) return allowed;
  else return because_of<refused<op::with_statistics, operand_is_not_an_attention, because<it_has, typename E::axes>>>;
}

template <class W>
StepRequest request(const W& attention, std::string name) {
  return {.regions = {attention.region}, .name = std::move(name), .statistics = true};
}

}  // namespace attention_detail

// Of an attention, contract<Key>(softmax<Key>(score), v). Only materialize may follow.
template <Symbolic X>
auto with_statistics(const X& x) {
  using E = expr_of<X>;
  using Why = why_of<decltype(attention_detail::why_no_statistics<E>())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return RefusedResults<1 + std::size(kStatistics)>{};
  } else {
    return WithStatistics<typename E::axes, typename E::along>{{as_expr(x).node, axis_list<typename E::axes>::get()}};
  }
}

// {result, log_sum_exp, largest, entropy}.
template <class... A, class... Q>
std::tuple<Value<f32, A...>, Value<f32, Q...>, Value<f32, Q...>, Value<f32, Q...>> materialize(
    const WithStatistics<Axes<A...>, Axes<Q...>>& attention, std::string name = {}) {
  const std::vector<ValueId> ids = record_step(attention_detail::request(attention, std::move(name)));
  const auto recorder = find_recorder(attention.region.expression);
  return {Value<f32, A...>(recorder, ids[0]), Value<f32, Q...>(recorder, ids[1]), Value<f32, Q...>(recorder, ids[2]),
          Value<f32, Q...>(recorder, ids[3])};
}

}  // namespace weft

// Recurrences along the tokens of a sequence, with a state that stays between steps (core/expr/state.h).
//
//   State<Head, K, V> state(graph, batch, "blk.0.state");
//   scan(state, q, k, v)                          linear attention: S_t = S_{t-1} + k_t v_t^T,  y_t = S_t^T q_t
//   scan(state, q, k, v, d)                       S_t = Diag(exp(d_t)) S_{t-1} + k_t v_t^T: RetNet, GLA, Mamba-2 (q, k
//                                                 and v are C, B and dt x; d is dt A)
//   scan(state, q, k, v, d, erase(a, b))          S_t = (Diag(exp(d_t)) - a_t b_t^T) S_{t-1} + k_t v_t^T: gated delta
//                                                 (a = alpha beta k, b = k, v = beta v), KDA, RWKV-7
//   scan(state, q, k, v, d, bonus(u))             y_t = S_{t-1}^T q_t + (q_t . (u_t * k_t)) v_t: RWKV-6
//
// q, k, a and b have the axis K; v has V; each may have Pos and any of the head axes, and is repeated along those that
// it lacks. d and u have K or do not: d is a decay per channel, or one per head. It is a logarithm, at most 0;
// -infinity forgets all. q . k is not scaled: scale q. The result has the axes Pos, the state's heads, V. Operands are
// maps or norms along their own axis; what follows elementwise is fused.
//
//   State<Tap, Channel> state(graph, batch, "blk.0.conv");
//   causal_conv(state, x, w)                      y_t[c] = sum over j of w[c][j] x_{t-T+1+j}[c], for T taps
//
// x has the axes Pos and Channel, w has Channel and Tap; a sequence begins after zeros. The state holds the last T
// values of each channel.
//
// The recurrence of the delta rule: Yang et al. 2024, arXiv:2406.06484, and with gates arXiv:2412.06464; Mamba-2: Dao
// and Gu 2024, arXiv:2405.21060; RWKV-6 and -7: arXiv:2404.05892, arXiv:2503.14456.
#pragma once

#include <type_traits>
#include <utility>
#include <vector>

#include "core/expr/combine.h"
#include "core/expr/state.h"

namespace weft {

// What erase() and bonus() return; only scan takes them.
template <class A, class B>
struct ScanErase {
  A a;
  B b;
};
template <class U>
struct ScanBonus {
  U u;
};

template <Symbolic A, Symbolic B>
auto erase(const A& a, const B& b) {
  return ScanErase<expr_of<A>, expr_of<B>>{as_expr(a), as_expr(b)};
}
template <Operable U>
auto bonus(const U& u) {
  return ScanBonus<expr_of<U>>{as_expr(u)};
}

namespace scan_detail {

// The head axes of a state, its rows (K) and its columns (V).
template <class List, class Heads = Axes<>>
struct parts;
template <class K, class V, class Heads>
struct parts<Axes<K, V>, Heads> {
  using heads = Heads;
  using rows = K;
  using columns = V;
};
template <class First, class... Rest, class... H>
  requires(sizeof...(Rest) >= 2)
struct parts<Axes<First, Rest...>, Axes<H...>> : parts<Axes<Rest...>, Axes<H..., First>> {};

// Of an operand E, called Role: its own axis, and the others that it may have.
template <class Op, class Role, class Own, class Others, bool MayLackOwn, class E>
consteval auto why_no_operand() {
  if constexpr (is_refused<E>) {
    return refused_before;
  } else if constexpr (!MayLackOwn && !contains_axis<Own, typename E::axes>) {
    // it lacks its axis of the state
    return because_of<refused<Op, Role, operand_lacks<Own>, because<it_has, typename E::axes>>>;
  } else if constexpr (!is_subset<typename E::axes, concat_axes<Others, Axes<Own>>>) {
    // it has axes that the result lacks
    return because_of<
        refused<Op, Role, because<extra_axes, subtract_axes<typename E::axes, concat_axes<Others, Axes<Own>>>>,
                because<it_has, typename E::axes>>>;
  } else if constexpr (!std::same_as<typename E::element, f32>) {
    return because_of<refused<Op, Role, wanted<f32>, found<typename E::element>, use_cast>>;
  } else if constexpr (E::is_paged) {
    return because_of<refused<Op, Role, cached_values_are_read_by_attention_only, because<it_has, typename E::axes>>>;
  } else if constexpr (E::stage == Stage::norm && !std::same_as<typename E::along, Own>) {
    // a norm across the rows of this operand takes a step of its own
    return because_of<
        refused<Op, Role, operand_is_a_norm, reduced_along<typename E::along>, put_materialize_around_the_operand>>;
  } else if constexpr (!is_mapped<E> && E::stage != Stage::norm) {
    // this needs two steps
    return because_of<refused<Op, Role, operand_is_an_expression, put_materialize_around_the_operand,
                              because<it_has, typename E::axes>>>;
  } else {
    return allowed;
  }
}

// The node of a scan, put together operand by operand.
struct NodeBuilder {
  NodeBuilder(Scan::Kind kind, int state) {
    scan.kind = kind;
    scan.state = state;
  }

  Scan scan;
  std::vector<NodePtr> args = {};
  std::vector<AxisList> axes = {};

  // Order: all axes that the operand may have, in the order of a role's (ScanRoles).
  template <class Order, class E>
  int add(const E& operand) {
    args.push_back(operand.node);
    axes.push_back(axis_list<intersect_axes<Order, typename E::axes>>::get());
    return static_cast<int>(args.size()) - 1;
  }
};

template <class S>
struct rules {
  using heads = typename parts<typename S::axes>::heads;
  using rows = typename parts<typename S::axes>::rows;
  using columns = typename parts<typename S::axes>::columns;
  using others = concat_axes<heads, Axes<Pos>>;
  using row_order = concat_axes<others, Axes<rows>>;
  using column_order = concat_axes<others, Axes<columns>>;
  using result = concat_axes<Axes<Pos>, heads, Axes<columns>>;

  template <class Role, class E, bool MayLackOwn = false>
  static consteval auto row() {
    return why_no_operand<op::scan, Role, rows, others, MayLackOwn, E>();
  }
  template <class E>
  static consteval auto column() {
    return why_no_operand<op::scan, value_operand, columns, others, false, E>();
  }

  // What may follow the values: a decay, an erase, a bonus.
  template <class A, class B>
  static consteval auto option(std::type_identity<ScanErase<A, B>>) {
    return first_refusal(row<erase_operand, A>(), row<read_operand, B>());
  }
  template <class U>
  static consteval auto option(std::type_identity<ScanBonus<U>>) {
    return row<bonus_operand, U, true>();
  }
  template <class D>
  static consteval auto option(std::type_identity<D>) {
    return row<decay_operand, expr_of<D>, true>();
  }

  template <class A, class B>
  static void add(NodeBuilder& builder, const ScanErase<A, B>& erase) {
    builder.scan.roles.erase = builder.add<row_order>(erase.a);
    builder.scan.roles.read = builder.add<row_order>(erase.b);
  }
  template <class U>
  static void add(NodeBuilder& builder, const ScanBonus<U>& bonus) {
    builder.scan.roles.bonus = builder.add<row_order>(bonus.u);
  }
  template <Operable D>
  static void add(NodeBuilder& builder, const D& decay) {
    builder.scan.roles.decay = builder.add<row_order>(as_expr(decay));
  }
};

template <class T>
struct is_option : std::false_type {};
template <class A, class B>
struct is_option<ScanErase<A, B>> : std::true_type {};
template <class U>
struct is_option<ScanBonus<U>> : std::true_type {};
template <class T>
concept Option = Operable<T> || is_option<T>::value;
template <class T>
struct is_bonus : std::false_type {};
template <class U>
struct is_bonus<ScanBonus<U>> : std::true_type {};
// A decay, an erase and a bonus, each at most once.
template <class... T>
concept DifferentOptions = (0 + ... + Operable<T>) <= 1 && (0 + ... + is_bonus<T>::value) <= 1 &&
                           (0 + ... + (is_option<T>::value && !is_bonus<T>::value)) <= 1;

}  // namespace scan_detail

// The recurrence of this file's comment. After q, k and v: a decay, erase(a, b) and bonus(u), each at most once.
template <Axis... A, Symbolic Q, Symbolic K, Symbolic V, scan_detail::Option... Options>
  requires scan_detail::DifferentOptions<Options...>
auto scan(const State<A...>& state, const Q& q, const K& k, const V& v, const Options&... options) {
  using Rules = scan_detail::rules<State<A...>>;
  using Why = why_of<decltype(first_refusal(
      Rules::template row<query_operand, expr_of<Q>>(), Rules::template row<key_operand, expr_of<K>>(),
      Rules::template column<expr_of<V>>(), Rules::option(std::type_identity<Options>{})...))>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    scan_detail::NodeBuilder builder(Scan::Kind::recurrence, state.index());
    builder.scan.roles.query = builder.add<typename Rules::row_order>(as_expr(q));
    builder.scan.roles.key = builder.add<typename Rules::row_order>(as_expr(k));
    builder.scan.roles.value = builder.add<typename Rules::column_order>(as_expr(v));
    (Rules::add(builder, options), ...);
    return Expr<f32, typename Rules::result, Stage::scanned>{
        scan_node(state.recorder(), builder.scan, std::move(builder.args), std::move(builder.axes))};
  }
}

// The convolution of this file's comment, over the last Tap values of each channel.
template <Axis Tap, Axis Channel, Symbolic X, Symbolic W>
auto causal_conv(const State<Tap, Channel>& state, const X& x, const W& w) {
  using E = expr_of<X>;
  using Taps = expr_of<W>;
  using Why = why_of<decltype(first_refusal(
      scan_detail::why_no_operand<op::causal_conv, input_operand, Channel, Axes<Pos>, false, E>(),
      scan_detail::why_no_operand<op::causal_conv, taps_operand, Tap, Axes<Channel>, false, Taps>()))>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    scan_detail::NodeBuilder builder(Scan::Kind::convolution, state.index());
    builder.scan.roles.key = builder.add<Axes<Channel, Tap>>(as_expr(w));
    builder.scan.roles.value = builder.add<Axes<Pos, Channel>>(as_expr(x));
    return Expr<f32, Axes<Pos, Channel>, Stage::scanned>{
        scan_node(state.recorder(), builder.scan, std::move(builder.args), std::move(builder.axes))};
  }
}

}  // namespace weft

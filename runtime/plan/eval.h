// eval(device, expression): the three-line way to try something, on tensors.
//
//   Tensor<f32, Pos, Embed> x({2, 3}, {1, 2, 3, 4, 5, 6});
//   Tensor<f32, Pos, Embed> y = eval(Device::cpu(), softmax<Embed>(x * 2.0f));
//
// Threads may call these concurrently, even on one device and with the same tensors.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "core/expr/materialize.h"
#include "ops/attention/statistics.h"
#include "ops/select/top_k.h"
#include "runtime/plan/plan.h"

namespace weft {

struct EvalInput {
  ValueId value = kNoValue;
  const void* data = nullptr;
  std::vector<int64_t> extents;  // in the order of the value's axes
};

struct EvalResult {
  Format format = Format::f32;
  std::vector<int64_t> extents;
  std::vector<std::byte> bytes;
};

// Compiles the graph for the extents of `inputs`, runs it and returns its results in their order. `extents`: of
// axes that neither an input nor a weight has. Throws Error as compile and Plan::run do; a graph with caches needs
// a separate plan.
std::vector<EvalResult> evaluate(const Device& device, std::shared_ptr<const GraphRecord> graph,
                                 std::span<const EvalInput> inputs, const PlanOptions& options = {},
                                 const Limits& extents = {});

namespace eval_detail {

// One step without run-time inputs: its results' storages.
std::vector<std::shared_ptr<Storage>> run(const Device& device, const StepRequest& request, const PlanOptions& options);

}  // namespace eval_detail

inline const PlanOptions kExact{.precision = Precision::exact};

// Computes one step on tensors. Throws Error where extents disagree, naming the axis, both extents and both
// tensors.
template <Symbolic X>
auto eval(const Device& device, const X& x, const PlanOptions& options = kExact) {
  using E = expr_of<X>;
  using Why = why_of<decltype(materialize_detail::why_not<E>())>;
  static_assert(Why::value, "refused: see this error's types");
  if constexpr (!is_allowed<Why>) {
    return Refused{};
  } else {
    const StepRequest request{.regions = {{as_expr(x).node, axis_list<typename E::axes>::get()}}};
    const auto tensor = []<class... A>(Axes<A...>, std::shared_ptr<Storage> storage) {
      return Tensor<typename E::element, A...>::of(std::move(storage));
    };
    return tensor(typename E::axes{}, eval_detail::run(device, request, options)[0]);
  }
}

// {values, ids} of a top_k.
template <class... A>
std::tuple<Tensor<f32, A...>, Tensor<i32, A...>> eval(const Device& device, const Choose<Axes<A...>, true>& choose,
                                                      const PlanOptions& options = kExact) {
  auto storages = eval_detail::run(device, select_detail::request(choose, {}), options);
  return {Tensor<f32, A...>::of(std::move(storages[0])), Tensor<i32, A...>::of(std::move(storages[1]))};
}

// argmax of a contraction.
template <class... A>
Tensor<i32, A...> eval(const Device& device, const Choose<Axes<A...>, false>& choose,
                       const PlanOptions& options = kExact) {
  return Tensor<i32, A...>::of(eval_detail::run(device, select_detail::request(choose, {}), options)[0]);
}

// {result, log_sum_exp, largest, entropy} of an attention.
template <class... A, class... Q>
std::tuple<Tensor<f32, A...>, Tensor<f32, Q...>, Tensor<f32, Q...>, Tensor<f32, Q...>> eval(
    const Device& device, const WithStatistics<Axes<A...>, Axes<Q...>>& attention,
    const PlanOptions& options = kExact) {
  auto storages = eval_detail::run(device, attention_detail::request(attention, {}), options);
  return {Tensor<f32, A...>::of(std::move(storages[0])), Tensor<f32, Q...>::of(std::move(storages[1])),
          Tensor<f32, Q...>::of(std::move(storages[2])), Tensor<f32, Q...>::of(std::move(storages[3]))};
}

}  // namespace weft

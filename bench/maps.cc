// Maps, each beside the same by hand (bench/yardstick.h), which computes shares of the rows in one thread per share as
// maps do. In L2: 64 rows of 1024, so that memory does not hide what the evaluation costs.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "bench/report.h"
#include "bench/run_plan.h"
#include "bench/yardstick.h"
#include "core/aligned_bytes.h"
#include "models/axes.h"
#include "ops/cpu/pinned_team.h"
#include "ops/ops.h"

namespace weft::bench {
namespace {

constexpr int64_t kRows = 64, kColumns = 1024, kCount = kRows * kColumns;

// `flops` of an element, of which each function counts as one.
template <class Expression>
void map_step(benchmark::State& state, double flops, const Expression& expression) {
  const auto threads = static_cast<int>(state.range(0));
  Graph graph;
  const auto a = graph.input<f32, Pos, Hidden>("a"), b = graph.input<f32, Pos, Hidden>("b");
  const auto slope = graph.input<f32, Pos>("slope");
  graph.result(materialize(expression(a, b, slope)));
  Plan plan = compile(Device::cpu(threads), graph.record(),
                      Limits().set(graph.axis<Pos>(), kRows).set(graph.axis<Hidden>(), kColumns));
  Bindings bindings = plan.bindings();
  const std::vector<float> values = noise(2 * kCount);
  bindings.input(a.id(), values.data(), {kRows, kColumns});
  bindings.input(b.id(), values.data() + kCount, {kRows, kColumns});
  bindings.input(slope.id(), values.data(), {kRows});
  run_plan(state, plan, bindings, flops * kCount, 0, threads);
}

template <class Function>
void by_hand(benchmark::State& state, double flops, const Function& function) {
  const PinnedTeam pinned(1);
  const std::vector<float> values = noise(2 * kCount);
  AlignedBytes memory(kCount * sizeof(float));  // as results of plans are
  auto* out = reinterpret_cast<float*>(memory.data());
  for (auto _ : state) {
    function(values.data(), values.data() + kCount, out);
    benchmark::DoNotOptimize(out);
    benchmark::ClobberMemory();
  }
  state.counters["GFLOP/s"] =
      benchmark::Counter(flops * kCount * static_cast<double>(state.iterations()) / 1e9, benchmark::Counter::kIsRate);
}

// The step with 1 and 2 threads, the yardstick with one.
template <class Expression, class Function>
void add(const std::string& name, double flops, const Expression& expression, const Function& function) {
  report(benchmark::RegisterBenchmark(("map_" + name).c_str(),
                                      [=](benchmark::State& state) { map_step(state, flops, expression); }));
  report_single(benchmark::RegisterBenchmark(("yardstick_" + name).c_str(),
                                             [=](benchmark::State& state) { by_hand(state, flops, function); }));
}

const bool registered = [] {
  constexpr auto kAll = static_cast<size_t>(kCount);
  add(
      "swiglu", 3, [](auto a, auto b, auto) { return silu(a) * b; },
      [](const float* a, const float* b, float* out) { yardstick::swiglu(a, b, kAll, out); });
  add(
      "residual_add", 1, [](auto a, auto b, auto) { return a + b; },
      [](const float* a, const float* b, float* out) { yardstick::add(a, b, kAll, out); });
  add(
      "capped_alibi", 6,
      [](auto a, auto, auto slope) {
        const auto distance = cast<f32>(static_cast<int32_t>(kRows) - index<Pos>() - index<Hidden>());
        return tanh(a * 0.02f) * 50.0f - slope * distance;
      },
      [](const float* a, const float* b, float* out) { yardstick::capped_alibi(a, b, kRows, kColumns, 50.0f, out); });
  add(
      "odd", 9, [](auto a, auto b, auto) { return where(a > b, sqrt(abs(a * b) + 1.0f), exp(a - b) * 0.5f + b); },
      [](const float* a, const float* b, float* out) { yardstick::odd(a, b, kAll, out); });
  return true;
}();

}  // namespace
}  // namespace weft::bench

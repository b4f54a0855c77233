#include "bench/run_plan.h"

#include <random>

#include "bench/limits.h"
#include "ops/cpu/pinned_team.h"

namespace weft::bench {

std::vector<float> noise(size_t count) {
  std::mt19937 random(1);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random()) / 2147483648.0f - 1.0f;
  return values;
}

void run_plans(benchmark::State& state, std::span<Plan> plans, std::span<const Bindings> bindings, double flops,
               double bytes, int threads, const std::string& kernels) {
  const MachineLimits& limits = machine_limits(threads, static_cast<size_t>(bytes) * plans.size());
  const PinnedTeam pinned(threads);
  for (size_t i = 0; i < plans.size(); ++i) plans[i].run(bindings[i]);  // touches pages and starts threads
  size_t next = 0;
  for (auto _ : state) {
    plans[next].run(bindings[next]);
    next = next + 1 == plans.size() ? 0 : next + 1;
  }
  using benchmark::Counter;
  const auto rate = [&](double amount) {
    return Counter(amount * static_cast<double>(state.iterations()), Counter::kIsRate);
  };
  const PeakUnit unit = peak_unit_of(kernels);
  state.counters["GFLOP/s"] = rate(flops / 1e9);
  state.counters["of_" + peak_name(unit)] = rate(flops / peak_of(limits, unit));
  if (bytes > 0) {
    state.counters["GB/s"] = rate(bytes / 1e9);
    state.counters["of_reads"] = rate(bytes / limits.read_bytes);
    state.counters["read_MiB"] = static_cast<double>(limits.read_size) / (1 << 20);
  }
}

void run_plan(benchmark::State& state, Plan& plan, const Bindings& bindings, double flops, double bytes, int threads) {
  run_plans(state, {&plan, 1}, {&bindings, 1}, flops, bytes, threads, {});
}

}  // namespace weft::bench

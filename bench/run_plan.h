// Single steps through the same path as in the product: a graph of one step, compiled and run.
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "runtime/plan/plan.h"

namespace weft::bench {

// Numbers from -1 to 1, the same on each call.
std::vector<float> noise(size_t count);

// The plans take turns. `flops`, `bytes`: of one run; `kernels`: what computes its products. Counters: GB/s read and
// their share of the machine's reads, measured over `read_MiB`; GFLOP/s and their share of the peak of the unit that
// the kernel computes with.
void run_plans(benchmark::State& state, std::span<Plan> plans, std::span<const Bindings> bindings, double flops,
               double bytes, int threads, const std::string& kernels);
void run_plan(benchmark::State& state, Plan& plan, const Bindings& bindings, double flops, double bytes, int threads);

}  // namespace weft::bench

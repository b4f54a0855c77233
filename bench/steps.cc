// Contractions and norms.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "bench/limits.h"
#include "bench/report.h"
#include "bench/run_plan.h"
#include "models/axes.h"
#include "ops/harness/random_blocks.h"
#include "ops/ops.h"
#include "runtime/plan/available_memory.h"
#include "runtime/plan/plan.h"

namespace weft::bench {
namespace {

template <Axis... A>
Weight<A...> random_weight(Format format, std::array<int64_t, sizeof...(A)> extents) {
  auto storage = allocate_storage("w", format, axis_list<Axes<A...>>::get(), extents);
  size_t rows = 1;
  for (size_t i = 0; i + 1 < extents.size(); ++i) rows *= static_cast<size_t>(extents[i]);
  const auto row = static_cast<size_t>(extents.back());
  const std::vector<float> values = noise(row);
  std::mt19937_64 random(1);
  std::vector<std::byte> bytes(row_bytes(format, row));
  if (info(format).block_elements > 1) {
    random_blocks(format, row, 1.0f, 0, [&] { return random(); }, bytes.data());
  } else {
    encode_row(format, values.data(), row, bytes.data());
  }
  for (size_t r = 0; r < rows; ++r) std::copy(bytes.begin(), bytes.end(), storage->data + r * bytes.size());
  return Weight<A...>(storage);
}

// How many weights take turns.
int64_t copies_of(int64_t rows, double bytes) {
  constexpr int64_t kFewRows = 16;  // more are limited by arithmetic, wherever the weight is
  if (rows > kFewRows || !cold_weights) return 1;
  // Each as stored and as packed.
  const auto most = static_cast<double>(available_memory()) / 4;
  return static_cast<int64_t>(
      std::max(std::min(std::ceil(static_cast<double>(uncached_bytes()) / bytes), most / bytes), 1.0));
}

// rows x k times a weight of outputs x k.
void linear(benchmark::State& state, Format format, Precision precision, int64_t rows, int64_t outputs, int64_t k,
            const std::string& kernel = {}) {
  const auto threads = static_cast<int>(state.range(0));
  const double flops = 2.0 * static_cast<double>(rows) * static_cast<double>(outputs * k);
  const double bytes = static_cast<double>(outputs) * static_cast<double>(row_bytes(format, static_cast<size_t>(k)));
  const std::vector<float> values = noise(static_cast<size_t>(rows * k));
  std::vector<Plan> plans;
  std::vector<Bindings> bindings;
  std::string kernels;
  for (int64_t copy = copies_of(rows, bytes); copy > 0; --copy) {
    Graph graph;
    const auto x = graph.input<f32, Pos, Embed>("x");
    const auto y = materialize(contract<Embed>(x, random_weight<Hidden, Embed>(format, {outputs, k})));
    graph.result(y);
    plans.push_back(compile(Device::cpu(threads), graph.record(),
                            Limits().set(graph.axis<Pos>(), rows).set(graph.axis<Embed>(), k),
                            {.precision = precision, .kernel = kernel.empty() ? forced_kernel : kernel}));
    bindings.push_back(plans.back().bindings());
    bindings.back().input(x.id(), values.data(), {rows, k});
    for (const KernelRange& range : plans.back().steps().front().kernels) {
      if (range.first_rows <= rows && rows <= range.last_rows) kernels = range.name;
    }
  }
  run_plans(state, plans, bindings, flops, bytes, threads, kernels);
}

// RMS norm against the machine's reads.
void norm(benchmark::State& state) {
  const auto threads = static_cast<int>(state.range(0));
  constexpr int64_t kRows = 64, kColumns = 4096;
  Graph graph;
  const auto x = graph.input<f32, Pos, Embed>("x");
  const Weight<Embed> w = random_weight<Embed>(Format::f32, {kColumns});
  graph.result(materialize(rms_norm<Embed>(x, w, 1e-5f)));
  Plan plan = compile(Device::cpu(threads), graph.record(), Limits().set(graph.axis<Pos>(), kRows));
  Bindings bindings = plan.bindings();
  const std::vector<float> values = noise(kRows * kColumns);
  bindings.input(x.id(), values.data(), {kRows, kColumns});
  run_plan(state, plan, bindings, 4.0 * kRows * kColumns, 1.0 * kRows * kColumns * sizeof(float), threads);
}

void add_linear(const std::string& what, Precision precision, int64_t rows, int64_t outputs, int64_t k) {
  for (const Format format :
       {Format::f32, Format::f16, Format::bf16, Format::q8_0, Format::q4_0, Format::q4_k, Format::q5_k, Format::q6_k}) {
    const std::string title = what + "/" + std::string(name(format)) + "/" + std::string(name(precision));
    report(benchmark::RegisterBenchmark(
        title.c_str(), [=](benchmark::State& state) { linear(state, format, precision, rows, outputs, k); }));
  }
}

// Every row of the table, with each format that it takes.
void add_kernels(const std::string& what, int64_t rows, int64_t outputs, int64_t k) {
  for (const ProductKernel* kernel : kernel_table().products()) {
    if (!kernel->is_available() || rows < kernel->first_rows || rows > kernel->last_rows) continue;
    for (const Format format : kernel->formats) {
      const Precision precision = kernel->serves(Precision::exact) ? Precision::exact : Precision::fast;
      const std::string title = "kernel_" + what + "/" + kernel->name + "/" + std::string(name(format));
      report(benchmark::RegisterBenchmark(title.c_str(), [=](benchmark::State& state) {
        linear(state, format, precision, rows, outputs, k, kernel->name);
      }));
    }
  }
}

const bool registered = [] {
  add_kernels("1x14336x4096", 1, 14336, 4096);
  add_kernels("256x4096x4096", 256, 4096, 4096);
  for (const Precision precision : {Precision::exact, Precision::fast}) {
    add_linear("decode_1x14336x4096", precision, 1, 14336, 4096);
    add_linear("prefill_256x4096x4096", precision, 256, 4096, 4096);
  }
  report(benchmark::RegisterBenchmark("rms_norm_64x4096", norm));
  return true;
}();

}  // namespace
}  // namespace weft::bench

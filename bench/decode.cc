// The shipped model: tokens per second of decoding and of prefill, as a user sees them.
#include <benchmark/benchmark.h>

#include <filesystem>

#include "bench/report.h"
#include "models/registry.h"
#include "runtime/generate/engine.h"

namespace weft::bench {
namespace {

std::filesystem::path shipped_model() {
  for (const auto& entry : std::filesystem::directory_iterator(WEFT_MODEL_DIR)) {
    if (entry.path().extension() == ".gguf") return entry.path();
  }
  return {};
}

Engine make_engine(int threads, Precision precision) {
  const auto file = Checkpoint::open(shipped_model());
  return Engine(load_model(file), Device::cpu(threads),
                {.precision = precision, .kernel = forced_kernel, .context = 512});
}

void decode(benchmark::State& state, Precision precision) {
  Engine engine = make_engine(static_cast<int>(state.range(0)), precision);
  const int32_t sequence = engine.cache().open();
  for (int i = 0; i < 16; ++i) engine.decode(sequence, 5 + i);
  for (auto _ : state) {
    if (engine.cache().length(sequence) == 256) engine.cache().trim(sequence, 16);
    benchmark::DoNotOptimize(engine.decode(sequence, 7));
  }
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

void prefill(benchmark::State& state, Precision precision) {
  Engine engine = make_engine(static_cast<int>(state.range(0)), precision);
  const int32_t sequence = engine.cache().open();
  std::vector<int32_t> tokens(256);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(3 + i);
  for (auto _ : state) {
    engine.cache().trim(sequence, 0);
    benchmark::DoNotOptimize(engine.prefill(sequence, tokens));
  }
  state.counters["tokens/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * 256, benchmark::Counter::kIsRate);
}

const bool registered = [] {
  for (const Precision precision : {Precision::exact, Precision::fast}) {
    const std::string suffix = "/" + std::string(name(precision));
    report(benchmark::RegisterBenchmark(("model_decode" + suffix).c_str(),
                                        [precision](benchmark::State& state) { decode(state, precision); }));
    report(benchmark::RegisterBenchmark(("model_prefill_256" + suffix).c_str(),
                                        [precision](benchmark::State& state) { prefill(state, precision); }));
  }
  return true;
}();

}  // namespace
}  // namespace weft::bench

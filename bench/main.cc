// weft_bench: single steps against the machine's limits. Google Benchmark's flags apply;
// by default each figure is taken seven times, interleaved with the others, and shown as min, median and max.
//
// Shares of reads: what is multiplied by few rows comes in so many copies, which take turns, that caches do not hold
// them; other benchmarks, and machines without the memory for that, are compared with reads of a block of their size.
// Threads are pinned. (Whole models: `weft bench`.)
//
//   weft_bench --benchmark_filter=decode
//   weft_bench --kernel f32-dot --benchmark_filter=decode    one kernel of contractions, wherever it can serve
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "bench/limits.h"
#include "bench/report.h"

int main(int argc, char** argv) {
  std::vector<std::string> defaults = {"--benchmark_repetitions=7", "--benchmark_enable_random_interleaving=true",
                                       "--benchmark_display_aggregates_only=true", "--benchmark_min_time=0.1"};
  std::vector<char*> arguments = {argv[0]};
  for (std::string& argument : defaults) arguments.push_back(argument.data());
  for (int i = 1; i < argc; ++i) {  // later flags win
    if (std::string_view(argv[i]) == "--kernel" && i + 1 < argc) weft::bench::forced_kernel = argv[++i];
    else arguments.push_back(argv[i]);
  }
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;
  for (const int threads : {1, 2}) {
    const auto& limits = weft::bench::machine_limits(threads);
    std::printf("limits of %d thread%s: %.1f GB/s reads of %.0f MiB, %.1f GFLOP/s f32 FMA, %.1f Gop/s %s", threads,
                threads == 1 ? "" : "s", limits.read_bytes / 1e9, static_cast<double>(limits.read_size) / (1 << 20),
                limits.fma_flops / 1e9, limits.int8_ops / 1e9, weft::peak_name(weft::PeakUnit::int8).c_str());
    if (limits.amx_flops > 0) std::printf(", %.1f GFLOP/s bf16 AMX", limits.amx_flops / 1e9);
    std::printf("\n");
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

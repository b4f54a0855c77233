// weft_bench: single steps against the machine's limits. Google Benchmark's flags apply;
// by default each figure is taken seven times, interleaved with the others, and shown as min, median and max.
//
// Shares of reads: what is multiplied by few rows comes in so many copies, which take turns, that caches do not hold
// them; other benchmarks, and machines without the memory for that, are compared with reads of a block of their size.
// Threads are pinned. (Whole models: `weft bench`.)
//
// weft_bench --help lists the flags.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "bench/limits.h"
#include "bench/report.h"

namespace {

constexpr const char* kHelp =
    "Times single steps beside the machine's limits, each several times, in turns with the others.\n"
    "Usage: weft_bench [FLAGS]\n"
    "\n"
    "  --help             Print this help and exit\n"
    "  --kernel NAME      Use this kernel of contractions wherever it can serve\n"
    "  --cache cold|warm  cold (default): weights that at most 16 rows are multiplied with come in so many copies,\n"
    "                     which take turns, that caches do not hold them; warm: in one, which a cache may hold. "
    "Shares\n"
    "                     of reads are of reads over as many bytes. More rows, attention and maps: no difference\n"
    "\n"
    "Flags of Google Benchmark, with what they are here by default:\n"
    "  --benchmark_filter=REGEX                      Benchmarks to run; all\n"
    "  --benchmark_list_tests                        Only print their names\n"
    "  --benchmark_min_time=SECONDS                  For each figure; 0.1\n"
    "  --benchmark_repetitions=N                     Figures of each; 7\n"
    "  --benchmark_enable_random_interleaving=false  One benchmark after the other; in turns\n"
    "  --benchmark_display_aggregates_only=false     Each figure too; their mean, median, min and max\n"
    "  --benchmark_format=console|json|csv           What to print; console\n"
    "  --benchmark_out=FILE                          Also write to this file ...\n"
    "  --benchmark_out_format=json|console|csv       ... in this form; json\n"
    "\n"
    "Whole models: weft bench, whose --help names the kernels.\n";

// Wrong usage: the exit code.
int refuse(const std::string& what) {
  std::fprintf(stderr, "weft_bench: error: %s\nTry 'weft_bench --help'.\n", what.c_str());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> defaults = {"--benchmark_repetitions=7", "--benchmark_enable_random_interleaving=true",
                                       "--benchmark_display_aggregates_only=true", "--benchmark_min_time=0.1"};
  std::vector<char*> arguments = {argv[0]};
  for (std::string& argument : defaults) arguments.push_back(argument.data());
  for (int i = 1; i < argc; ++i) {  // later flags win
    const std::string_view flag = argv[i];
    if (flag == "--help" || flag == "-h") {
      std::fputs(kHelp, stdout);
      return 0;
    }
    if (flag != "--kernel" && flag != "--cache") {
      arguments.push_back(argv[i]);
      continue;
    }
    if (i + 1 == argc) return refuse(std::string(flag) + " wants a value");
    const std::string value = argv[++i];
    if (flag == "--kernel") {
      weft::bench::forced_kernel = value;
    } else if (value == "cold" || value == "warm") {
      weft::bench::cold_weights = value == "cold";
    } else {
      return refuse("--cache: '" + value + "' is neither cold nor warm");
    }
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

// How every benchmark is run and shown: with 1 and 2 threads, wall-clock time, min and max beside the median.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>
#include <vector>

namespace weft::bench {

// --kernel: the kernel of contractions to be used wherever it can serve; empty: the preferred ones.
inline std::string forced_kernel;

// --cache: whether weights that few rows are multiplied with take turns, so that they come from memory; otherwise there
// is one of each, which a cache may hold.
inline bool cold_weights = true;

// For what always runs in one thread.
inline void report_single(benchmark::internal::Benchmark* entry) {
  entry->UseRealTime()->Unit(benchmark::kMicrosecond);
  entry->ComputeStatistics("min", [](const std::vector<double>& v) { return *std::min_element(v.begin(), v.end()); });
  entry->ComputeStatistics("max", [](const std::vector<double>& v) { return *std::max_element(v.begin(), v.end()); });
}

inline void report(benchmark::internal::Benchmark* entry) {
  entry->Arg(1)->Arg(2)->ArgName("threads");
  report_single(entry);
}

}  // namespace weft::bench

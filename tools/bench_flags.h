// The flags that say what `weft bench` measures: a model, tests, and how they run.
#pragma once

#include <string>
#include <vector>

#include "tools/bench_tests.h"
#include "tools/common.h"

namespace weft::tools {

struct BenchFlags {
  ModelFlags model;
  std::string shape, type = "Q4_K_M";
  int layers = 0;
  std::string prompts = "512", tokens = "128", depths = "0", sequences = "1", threads;
  int batch = 512;
};

// -m, or --shape with --type and --layers.
struct BenchModelOptions {
  CLI::Option *model = nullptr, *shape = nullptr;
};
BenchModelOptions add_bench_model_flags(CLI::App& app, BenchFlags& flags);
// -p, -n, -d, --parallel, -b, -t, --device, --pack-cache and the types of caches.
void add_bench_test_flags(CLI::App& app, BenchFlags& flags);

// The tests that the flags ask for; at least one. Throws CLI11's ValidationError where they are no numbers, or ask for
// none.
std::vector<BenchTest> tests_of(const BenchFlags& flags);
// Numbers of threads: of the flag -t; without it, all CPUs that this process may use.
std::vector<int> teams_of(const BenchFlags& flags);

}  // namespace weft::tools

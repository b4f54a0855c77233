// llama-bench, which comes with llama.cpp: run on the same file, to compare with.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tools/bench_tests.h"

namespace weft::tools {

class LlamaBench {
 public:
  // Throws Error where there is no such program on PATH.
  LlamaBench();

  // Whether it has such a test.
  static bool has(const BenchTest& test) { return test.sequences == 1; }
  // Tokens per second of one run of each test that it has, with this number of threads and tokens of a prompt at a
  // time. Throws Error where it fails, or where its output is not as expected.
  std::vector<std::pair<BenchTest, double>> run(const std::filesystem::path& model, const std::vector<BenchTest>& tests,
                                                int threads, int batch) const;

 private:
  std::filesystem::path program_;
};

}  // namespace weft::tools

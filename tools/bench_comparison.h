// Two runs of `weft bench`, test by test: rates, their ratio, a verdict; as a table, Markdown or JSON.
#pragma once

#include <string>
#include <vector>

#include "runtime/plan/statistics.h"
#include "tools/bench_samples.h"

namespace weft::tools {

// Tests refer to the samples: it may be moved, and is not copied.
struct BenchComparison {
  std::string name_a, name_b;
  BenchSamples a, b;
  bool rounds = false;  // samples of the same index were measured one after the other
  struct Test {
    std::string name;
    const BenchSamples::Test *a, *b;
    RateRatio ratio;
  };
  std::vector<Test> tests = {};  // those of both, in the order of A
  std::vector<std::string> only_in_a = {}, only_in_b = {};

  bool any_slower() const;
};

// Throws Error where no test is in both.
BenchComparison compare(std::string name_a, BenchSamples a, std::string name_b, BenchSamples b, bool rounds);

enum class ComparisonFormat { table, markdown, json };
std::string text_of(const BenchComparison& comparison, ComparisonFormat as);

}  // namespace weft::tools

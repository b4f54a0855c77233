// What `weft bench -o json` has written, as `weft bench compare` reads it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft::tools {

struct BenchSamples {
  // What identifies the run: "weft", "model", "precision", ... with their values as text; what the file does not say is
  // left out. Files of older versions say less.
  std::vector<std::pair<std::string, std::string>> facts;
  struct Test {
    std::string name;           // "pp512, 2 threads"; of another program "llama-bench pp512, 2 threads"
    std::vector<double> rates;  // tokens per second, of each repetition; at least one, all positive
  };
  std::vector<Test> tests;  // at least one, each name once

  const Test* find(std::string_view name) const;
};

// `from`: the file or program, for messages. Throws Error, which names it and the field, for anything else.
BenchSamples parse_bench_samples(const std::string& text, const std::string& from);

}  // namespace weft::tools

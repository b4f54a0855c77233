#include "tools/bench_peer.h"

#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "core/comma_list.h"
#include "core/error.h"
#include "tools/child_process.h"
#include "tools/output.h"

namespace weft::tools {

namespace {

constexpr const char* kProgram = "llama-bench";

// "0,512"
std::string list(const std::set<int32_t>& numbers) {
  std::string text;
  for (const int32_t number : numbers) text += (text.empty() ? "" : ",") + std::to_string(number);
  return text;
}

}  // namespace

LlamaBench::LlamaBench() {
  const char* variable = std::getenv("PATH");
  std::string_view path = variable == nullptr ? "" : variable;
  while (!path.empty()) {
    const size_t end = std::min(path.find(':'), path.size());
    const std::filesystem::path program = std::filesystem::path(end == 0 ? "." : path.substr(0, end)) / kProgram;
    std::error_code error;
    if (std::filesystem::is_regular_file(program, error) && ::access(program.c_str(), X_OK) == 0) {
      program_ = program;
      return;
    }
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  throw Error(std::string(kProgram) + " is not on PATH; it comes with llama.cpp");
}

std::vector<std::pair<BenchTest, double>> LlamaBench::run(const std::filesystem::path& model,
                                                          const std::vector<BenchTest>& tests, int threads,
                                                          int batch) const {
  // It runs every prompt and every number of tokens at every depth.
  std::set<int32_t> prompts, decoded, depths;
  for (const BenchTest& test : tests) {
    if (!has(test)) continue;
    (test.is_prompt ? prompts : decoded).insert(test.tokens);
    depths.insert(test.depth);
  }
  std::vector<std::pair<BenchTest, double>> results;
  if (depths.empty()) return results;
  std::vector<std::string> arguments = {"-m",  model.string(),
                                        "-p",  prompts.empty() ? "0" : list(prompts),
                                        "-n",  decoded.empty() ? "0" : list(decoded),
                                        "-t",  std::to_string(threads),
                                        "-b",  std::to_string(batch),
                                        "-ub", std::to_string(batch),
                                        "-r",  "1",
                                        "-o",  "json"};
  if (depths != std::set<int32_t>{0}) arguments.insert(arguments.end(), {"-d", list(depths)});
  const std::string text = output_of(program_, arguments);
  try {
    for (const auto& item : nlohmann::json::parse(text)) {
      const auto prompt = item.at("n_prompt").get<int32_t>(), tokens = item.at("n_gen").get<int32_t>();
      if ((prompt > 0) == (tokens > 0)) continue;  // a prompt and tokens in one test
      const BenchTest test{prompt > 0, prompt + tokens, item.value("n_depth", int32_t{0}), 1};
      const auto rate = item.at("avg_ts").get<double>();
      if (!std::isfinite(rate) || rate <= 0) throw Error(format("%s: a rate of %g tokens/s", program_.c_str(), rate));
      results.emplace_back(test, rate);
    }
  } catch (const nlohmann::json::exception& error) {
    throw Error(program_.string() + ": its output is not the JSON that is expected: " + error.what());
  }
  return results;
}

}  // namespace weft::tools

// What `weft bench` times: prompts and decoded tokens, at a depth, of one sequence or several.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "ops/cpu/machine_limits.h"
#include "runtime/generate/engine.h"

namespace weft::tools {

struct BenchTest {
  bool is_prompt = true;
  int32_t tokens = 0;     // of the prompt, or decoded in each sequence
  int32_t depth = 0;      // tokens that each sequence has before
  int32_t sequences = 1;  // decoded at a time

  auto operator<=>(const BenchTest&) const = default;
  // "pp512", "tg128 @ d4096", "tg128 x4": as llama-bench calls them, and the number of sequences where it is not 1.
  std::string name() const;
  int64_t all_tokens() const { return int64_t{tokens} * sequences; }
};

// The least time that a machine takes for a test, and what limits it for the most of that.
struct TestLimit {
  double seconds = 0;
  std::string by;  // "reads", "AMX", ...
};

// An engine with room for some tests. On the CPU its threads are pinned while a test runs, and its memory is touched
// before.
class BenchEngine {
 public:
  // `options`: precision, kernel and batch. Throws Error where Engine does.
  BenchEngine(const LanguageModel& model, const Device& device, EngineOptions options,
              std::span<const BenchTest> tests);

  const Device& device() const { return engine_.plan().device(); }
  // Seconds, with the logits of the last token of every sequence; for a prompt, until those of its first new token.
  double run(const BenchTest& test);

  // By step, what has run when the test was prepared; empty where the device does not tell.
  const std::vector<std::string>& kernels(const BenchTest& test) const { return kernels_.at(test); }
  // Those which compute products, once each: "bf16-x16-amx, int8-x16-vnni".
  std::string product_kernels(const BenchTest& test) const;
  // Bytes of weights and keys that a step of the test reads: the last one, which gives logits.
  size_t bytes_read(const BenchTest& test) const;
  TestLimit limit(const BenchTest& test, const MachineLimits& machine) const;

 private:
  // Steps of a test that do the same work, but for the number of keys: `count` of them, with the mean number.
  struct Part {
    double count;
    std::vector<StepCost> costs;
  };
  std::vector<Part> parts(const BenchTest& test) const;
  double run_tokens(const BenchTest& test, int32_t tokens);

  Engine engine_;
  std::vector<int32_t> tokens_;  // random ones
  std::map<BenchTest, std::vector<std::string>> kernels_;
};

}  // namespace weft::tools

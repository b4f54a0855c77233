#include "tools/bench_flags.h"

#include <algorithm>

#include "models/shapes.h"

namespace weft::tools {

namespace {

// The numbers of a flag, each once, in their order. Throws CLI11's ValidationError for anything else.
std::vector<int> numbers(const std::string& text, const char* flag, int least, int most) {
  std::vector<int> all;
  for (const int32_t number : parse_ids(text, flag)) {
    if (number < least || number > most) {
      throw CLI::ValidationError(
          flag, std::to_string(number) + " is not between " + std::to_string(least) + " and " + std::to_string(most));
    }
    if (std::find(all.begin(), all.end(), number) == all.end()) all.push_back(number);
  }
  return all;
}

}  // namespace

BenchModelOptions add_bench_model_flags(CLI::App& app, BenchFlags& flags) {
  CLI::Option* model = app.add_option("-m,--model", flags.model.model,
                                      "GGUF file (any part of a split one), or directory with safetensors and "
                                      "config.json (default: the model that comes with Weft)");
  model->type_name("MODEL");
  CLI::Option* shape = app.add_option("--shape", flags.shape,
                                      "Random weights of the shape of a well-known model instead, in a temporary "
                                      "file: " +
                                          model_shape_names());
  shape->type_name("NAME")->excludes(model);
  app.add_option("--type", flags.type, "Number format of random weights: a type of `weft quantize`")
      ->capture_default_str()
      ->type_name("TYPE")
      ->needs(shape);
  app.add_option("--layers", flags.layers, "Layers of the shape (default: as many as the model has)")
      ->check(CLI::Range(1, 1024))
      ->type_name("N")
      ->needs(shape);
  return {model, shape};
}

void add_bench_test_flags(CLI::App& app, BenchFlags& flags) {
  app.add_option("-p,--n-prompt", flags.prompts, "Tokens of the prompt, a list: 128,512; 0: no prompts")
      ->capture_default_str()
      ->type_name("LIST");
  app.add_option("-n,--n-gen", flags.tokens, "Tokens to decode, a list; 0: none")
      ->capture_default_str()
      ->type_name("LIST");
  app.add_option("-d,--n-depth", flags.depths, "Tokens that are in the cache before, a list")
      ->capture_default_str()
      ->type_name("LIST");
  app.add_option("--parallel,--sequences", flags.sequences, "Sequences that are decoded at a time, a list")
      ->capture_default_str()
      ->type_name("LIST");
  app.add_option("-b,--batch-size", flags.batch, "Tokens of the prompt to process at a time")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("-t,--threads", flags.threads,
                 "CPU threads, a list (default: one number, the CPUs that this process may use, which is also "
                 "the most)")
      ->type_name("LIST");
  add_place_flags(app, flags.model);
  add_cache_flags(app, flags.model);
}

std::vector<BenchTest> tests_of(const BenchFlags& flags) {
  constexpr int kMost = 1 << 20;
  const std::vector<int> prompts = numbers(flags.prompts, "-p", 0, kMost),
                         tokens = numbers(flags.tokens, "-n", 0, kMost);
  const std::vector<int> sequences = numbers(flags.sequences, "--parallel", 1, 4096);
  std::vector<BenchTest> tests;
  for (const int depth : numbers(flags.depths, "-d", 0, kMost)) {
    for (const int count : prompts) {
      if (count > 0) tests.push_back({true, count, depth, 1});
    }
    for (const int of : sequences) {
      for (const int count : tokens) {
        if (count > 0) tests.push_back({false, count, depth, of});
      }
    }
  }
  if (tests.empty())
    throw CLI::ValidationError("-p, -n", "there is nothing to do: no tokens of a prompt, and none to generate");
  return tests;
}

std::vector<int> teams_of(const BenchFlags& flags) {
  if (flags.threads.empty()) return {thread_count(0)};
  std::vector<int> teams;
  for (const int wanted : numbers(flags.threads, "-t", 1, 1024)) {
    const int threads = thread_count(wanted);
    if (std::find(teams.begin(), teams.end(), threads) == teams.end()) teams.push_back(threads);
  }
  return teams;
}

}  // namespace weft::tools

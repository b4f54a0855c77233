// weft perplexity: how well a model predicts a text.
//
// As llama.cpp defines it: exp of the mean negative log-likelihood of the tokens that TextWindows scores.
#include <cstdio>

#include "runtime/generate/estimate.h"
#include "runtime/generate/logprobs.h"
#include "tools/windows.h"

namespace weft::tools {

namespace {

struct PerplexityFlags {
  ModelFlags model;
  WindowFlags windows;
};

void run(const PerplexityFlags& flags) {
  const OpenModel open = open_model(flags.model);
  const std::unique_ptr<Tokenizer> tokenizer = open_tokenizer(*open.file, flags.model);
  const int64_t window = flags.windows.window_tokens(open.model);
  warn_beyond_training(open.model, window, "a window of");
  const TextWindows windows = open_windows(flags.windows, *tokenizer, window);
  const Device device = open_device(flags.model);
  Engine engine = open_window_engine(flags.windows, flags.model.engine_options(), open.model, device, windows.window());

  SampleMean nll;
  Progress progress;
  for (size_t w = 0; w < windows.count(); ++w) {
    windows.evaluate(w, std::span(&engine, 1), [&](size_t position, std::span<const std::span<const float>> logits) {
      nll.add(-token_logprobs(logits[0], windows.token(position), 0).chosen.logprob);
    });
    progress.show(format("window %zu of %zu: perplexity %.4f", w + 1, windows.count(), perplexity(nll).value));
  }
  progress.clear();
  const Estimate result = perplexity(nll);
  print(format("perplexity %.4f +/- %.4f\n", result.value, result.error));
  std::fprintf(stderr, "%zu windows of %zu tokens, %zu tokens scored (%s, precision %s)\n", windows.count(),
               windows.window(), windows.scored(), device.name().c_str(), flags.model.precision.c_str());
}

}  // namespace

void add_perplexity(CLI::App& app) {
  auto flags = std::make_shared<PerplexityFlags>();
  CLI::App* command = app.add_subcommand("perplexity", "Measure how well a model predicts a text");
  command->footer(
      "The text's tokens are cut into consecutive windows of the context, and the second half of each is scored, "
      "as\n"
      "llama.cpp does. What does not fill a window is dropped. After +/- stands the standard error.");
  add_model_flag(*command, flags->model);
  add_window_flags(*command, flags->windows);
  add_tokenizer_flag(*command, flags->model);
  add_device_flags(*command, flags->model);
  add_cache_flags(*command, flags->model);
  command->callback([flags] { run(*flags); });
}

}  // namespace weft::tools

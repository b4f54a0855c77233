// weft perplexity: how well a model predicts a text.
//
// As llama.cpp defines it: the text's tokens in consecutive windows of the context, the rest dropped; the first
// token of each window is replaced by BOS where the model adds one; the predictions of the second half are scored;
// and the perplexity is exp of their mean negative log-likelihood.
#include <cmath>
#include <cstdio>

#include "runtime/generate/engine.h"
#include "runtime/generate/logprobs.h"
#include "tools/common.h"

namespace weft::tools {

namespace {

struct PerplexityFlags {
  ModelFlags model;
  PromptFlags text;
  int context = 0;
  int batch = 512;
};

class Score {
 public:
  void add(double nll) {
    sum_ += nll;
    squares_ += nll * nll;
    ++count_;
  }
  int64_t count() const { return count_; }
  double perplexity() const { return std::exp(mean()); }
  // Standard error of the mean, carried through exp.
  double error() const {
    if (count_ < 2) return 0;
    const double variance = squares_ / static_cast<double>(count_) - mean() * mean();
    return perplexity() * std::sqrt(std::max(variance, 0.0) / static_cast<double>(count_ - 1));
  }

 private:
  double mean() const { return sum_ / static_cast<double>(count_); }

  double sum_ = 0, squares_ = 0;
  int64_t count_ = 0;
};

void run(const PerplexityFlags& flags) {
  constexpr int64_t kDefaultContext = 512;
  constexpr int64_t kLogitBytes = 64 << 20;  // for the rows of logits that are kept at a time
  const OpenModel open = open_model(flags.model);
  const std::unique_ptr<Tokenizer> tokenizer = open_tokenizer(*open.file, flags.model);
  const std::vector<int32_t> special = tokenizer->encode("", true);
  const bool adds_bos = !special.empty() && special.front() == tokenizer->bos();
  std::vector<int32_t> tokens = tokenizer->encode(flags.text.prompt_text(), true);

  EngineOptions options = flags.model.engine_options();
  options.context =
      flags.context > 0 ? flags.context : static_cast<int32_t>(std::min(kDefaultContext, open.model.context_length));
  options.batch = flags.batch;
  const auto rows_kept = static_cast<int32_t>(
      std::clamp<int64_t>(kLogitBytes / (open.model.vocab * static_cast<int64_t>(sizeof(float))), 1, flags.batch));
  options.logit_rows = rows_kept;
  warn_beyond_training(open.model, options.context, "a window of");
  const Device device = open_device(flags.model);
  Engine engine = waiting_for("loading", [&] { return Engine(open.model, device, options); });
  const auto window = static_cast<size_t>(engine.context());
  if (window < 4) throw Error("windows of fewer than 4 tokens have no second half to score (-c)");
  if (tokens.size() < window) {
    throw Error(
        format("%s has %zu tokens, fewer than one window of %zu (-c)", flags.text.file.c_str(), tokens.size(), window));
  }

  const size_t windows = tokens.size() / window, first_scored = window / 2;
  const auto chunk = static_cast<size_t>(std::min(engine.batch(), engine.logit_rows()));
  Score score;
  Progress progress;
  for (size_t w = 0; w < windows; ++w) {
    const std::span<int32_t> part = std::span(tokens).subspan(w * window, window);
    if (adds_bos) part[0] = *tokenizer->bos();
    const int32_t sequence = engine.cache().open();
    engine.prefill(sequence, part.first(first_scored));
    // The logits of position i predict token i + 1, so those of the last position are not needed.
    for (size_t begin = first_scored; begin + 1 < window; begin += chunk) {
      const size_t count = std::min(chunk, window - 1 - begin);
      engine.add(sequence, part.subspan(begin, count), WantLogits::all);
      engine.run();
      for (size_t i = 0; i < count; ++i) {
        score.add(-token_logprobs(engine.logits(static_cast<int32_t>(i)), part[begin + i + 1], 0).chosen.logprob);
      }
    }
    engine.cache().close(sequence);
    progress.show(format("window %zu of %zu: perplexity %.4f", w + 1, windows, score.perplexity()));
  }
  progress.clear();
  print(format("perplexity %.4f +/- %.4f\n", score.perplexity(), score.error()));
  std::fprintf(stderr, "%zu windows of %zu tokens, %lld tokens scored (%s, precision %s)\n", windows, window,
               static_cast<long long>(score.count()), device.name().c_str(),
               std::string(name(options.precision)).c_str());
}

}  // namespace

void add_perplexity(CLI::App& app) {
  auto flags = std::make_shared<PerplexityFlags>();
  CLI::App* command = app.add_subcommand("perplexity", "Measure how well a model predicts a text");
  command->footer(
      "The text's tokens are cut into consecutive windows of the context, and the second half of each is scored, "
      "as\n"
      "llama.cpp does. What does not fill a window is dropped.");
  add_model_flag(*command, flags->model);
  add_prompt_flags(*command, flags->text, kPromptFile);
  flags->text.file_option->required();
  command->add_option("-c,--ctx-size", flags->context, "Tokens of a window (default: 512, or the model's context)")
      ->check(CLI::Range(4, 1 << 24))
      ->type_name("CONTEXT");
  command->add_option("-b,--batch-size", flags->batch, "Tokens to process at a time")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str()
      ->type_name("N");
  add_tokenizer_flag(*command, flags->model);
  add_device_flags(*command, flags->model);
  add_cache_flags(*command, flags->model);
  command->callback([flags] { run(*flags); });
}

}  // namespace weft::tools

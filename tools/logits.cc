// weft logits: the logits of a prompt, as numbers.
#include <cstdio>

#include "runtime/files/output_file.h"
#include "runtime/generate/engine.h"
#include "tools/common.h"

namespace weft::tools {

namespace {

struct LogitsFlags {
  ModelFlags model;
  PromptFlags prompt;
  std::string output;
  int chunk = 0;
};

void run(const LogitsFlags& flags) {
  constexpr int kDefaultChunk = 512;
  const OpenModel open = open_model(flags.model);
  const std::vector<int32_t> ids =
      flags.prompt.has_tokens() ? parse_ids(flags.prompt.tokens, "--tokens")
                                : open_tokenizer(*open.file, flags.model)->encode(flags.prompt.prompt_text(), true);
  if (ids.empty()) throw Error("the prompt has no tokens");

  EngineOptions options = flags.model.engine_options();
  options.context = static_cast<int32_t>(ids.size());
  options.batch = flags.chunk > 0 ? flags.chunk : kDefaultChunk;
  options.logit_rows = options.batch;
  warn_beyond_training(open.model, options.context, "a prompt of");
  const Device device = open_device(flags.model);
  Engine engine = waiting_for("loading", [&] { return Engine(open.model, device, options); });
  const int32_t sequence = engine.cache().open();

  OutputFile output(flags.output);
  Progress progress;
  const auto chunk = static_cast<size_t>(engine.batch());
  for (size_t begin = 0; begin < ids.size(); begin += chunk) {
    engine.add(sequence, std::span(ids).subspan(begin, std::min(chunk, ids.size() - begin)), WantLogits::all);
    engine.run();
    for (int32_t row = 0; row < engine.rows(); ++row) {
      const std::span<const float> logits = engine.logits(row);
      output.write(logits.data(), logits.size_bytes());
    }
    progress.show(format("%zu of %zu positions", std::min(begin + chunk, ids.size()), ids.size()));
  }
  progress.clear();
  output.finish();
  std::fprintf(stderr, "%s: %zu positions x %lld logits (%s, precision %s)\n", flags.output.c_str(), ids.size(),
               static_cast<long long>(open.model.vocab), device.name().c_str(),
               std::string(name(options.precision)).c_str());
}

}  // namespace

void add_logits(CLI::App& app) {
  auto flags = std::make_shared<LogitsFlags>();
  CLI::App* command = app.add_subcommand("logits", "Write the logits of every position of a prompt");
  command->footer(
      "The file holds little-endian f32, one row of the vocabulary per position. With -p and -f the special "
      "tokens\n"
      "that the model asks for are added.");
  add_model_flag(*command, flags->model);
  add_prompt_flags(*command, flags->prompt, kPromptText | kPromptFile | kPromptTokens);
  command->add_option("-o,--output", flags->output, "File to write")->required()->type_name("OUT.f32");
  command->add_option("--chunk", flags->chunk, "Tokens of the prompt to process at a time (default: 512)")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("N");
  add_tokenizer_flag(*command, flags->model);
  add_device_flags(*command, flags->model);
  add_cache_flags(*command, flags->model);
  add_kernel_flag(*command, flags->model);
  command->callback([flags] {
    if (!flags->prompt.has_text() && !flags->prompt.has_tokens()) {
      throw CLI::RequiredError("one of --prompt, --file and --tokens");
    }
    run(*flags);
  });
}

}  // namespace weft::tools

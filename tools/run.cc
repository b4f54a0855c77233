// weft run: text from a model.
#include <algorithm>
#include <cstdio>
#include <random>
#include <optional>

#include "runtime/engine.h"
#include "runtime/sampler.h"
#include "tools/common.h"

namespace weft::tools {

namespace {

struct RunFlags {
  ModelFlags model;
  PromptFlags prompt;
  int predict = -1;
  int context = 0;
  int batch = 512;
  bool no_display_prompt = false;
  bool ignore_eos = false;
  SamplerOptions sampler;
  int64_t seed = 0;
};

// What is printed: text, or ids where the prompt was given as ids.
class Printer {
 public:
  explicit Printer(const Tokenizer* tokenizer) {
    if (tokenizer != nullptr) decoder_.emplace(*tokenizer);
  }

  void put(int32_t id, bool visible) {
    if (decoder_) {
      const std::string text = decoder_->push(id);
      if (visible) print(text);
    } else if (visible) {
      print((first_ ? "" : " ") + std::to_string(id));
      first_ = false;
    }
  }

  void end() { print((decoder_ ? decoder_->flush() : std::string()) + "\n"); }

 private:
  std::optional<StreamDecoder> decoder_;
  bool first_ = true;
};

std::vector<int32_t> encode_prompt(const PromptFlags& flags, const Tokenizer& tokenizer) {
  std::vector<int32_t> ids = tokenizer.encode(flags.prompt_text(), true);
  if (!ids.empty()) return ids;
  if (tokenizer.bos()) return {*tokenizer.bos()};
  throw Error("the prompt is empty, and the model has no token that begins a text");
}

std::string rate(size_t tokens, double seconds) {
  if (tokens == 0 || seconds <= 0) return format("%zu tokens", tokens);
  return format("%zu tokens in %.3f s, %.1f tokens/s", tokens, seconds, static_cast<double>(tokens) / seconds);
}

void run(RunFlags flags) {
  // Wrong values of flags are wrong usage, and are said before anything is loaded.
  try {
    static_cast<void>(Sampler(flags.sampler, 1));
  } catch (const Error& error) {
    throw CLI::ValidationError(error.what());
  }
  std::vector<int32_t> prompt;
  if (flags.prompt.has_tokens()) prompt = parse_ids(flags.prompt.tokens, "--tokens");
  flags.sampler.seed = flags.seed >= 0 ? static_cast<uint64_t>(flags.seed) : std::random_device()();
  const Stopwatch loading;
  const OpenModel open = open_model(flags.model);
  std::unique_ptr<Tokenizer> tokenizer;
  if (!flags.prompt.has_tokens()) {
    tokenizer = load_tokenizer(*open.file);
    prompt = encode_prompt(flags.prompt, *tokenizer);
  }

  EngineOptions options;
  options.precision = flags.model.precision_value();
  options.context = flags.context;
  options.batch = flags.batch;
  const Device device = Device::by_name(flags.model.device, flags.model.threads);
  Engine engine = waiting_for("loading", [&] { return Engine(open.model, device, options); });
  Sampler sampler(flags.sampler, static_cast<size_t>(open.model.vocab));
  const double load_seconds = loading.seconds();
  if (prompt.size() > static_cast<size_t>(engine.context())) {
    throw Error(format("the prompt has %zu tokens, and the context has room for %d (-c)", prompt.size(),
                       engine.context()));
  }

  Printer printer(tokenizer.get());
  for (const int32_t id : prompt) {
    if (id >= open.model.vocab) {
      throw Error(
          format("token %d is outside the vocabulary of %lld", id, static_cast<long long>(open.model.vocab)));
    }
    sampler.accept(id);
    printer.put(id, !flags.no_display_prompt);
  }

  const int32_t sequence = engine.cache().open();
  const Stopwatch prefilling;
  std::span<const float> logits;
  {
    Progress progress;
    const auto chunk = static_cast<size_t>(engine.batch());
    for (size_t begin = 0; begin < prompt.size(); begin += chunk) {
      const size_t count = std::min(chunk, prompt.size() - begin);
      logits = engine.prefill(sequence, std::span(prompt).subspan(begin, count));
      progress.show(format("prompt: %zu of %zu tokens", begin + count, prompt.size()));
    }
  }
  const double prefill_seconds = prefilling.seconds();

  const Stopwatch decoding;
  size_t generated = 0, decoded = 0;
  bool full = false;
  while (flags.predict < 0 || generated < static_cast<size_t>(flags.predict)) {
    const int32_t id = sampler.sample(logits);
    if (tokenizer != nullptr && !flags.ignore_eos && (id == tokenizer->eos() || id == tokenizer->bos())) break;
    sampler.accept(id);
    printer.put(id, true);
    ++generated;
    if (flags.predict >= 0 && generated == static_cast<size_t>(flags.predict)) break;
    if (engine.cache().length(sequence) == engine.context()) {
      full = true;
      break;
    }
    logits = engine.decode(sequence, id);
    ++decoded;
  }
  const double decode_seconds = decoding.seconds();
  printer.end();

  if (full) std::fprintf(stderr, "weft: the context of %d tokens is full (-c)\n", engine.context());
  std::fprintf(stderr, "\n%s, precision %s\n", device.name().c_str(),
               std::string(name(options.precision)).c_str());
  if (flags.sampler.temp > 0) std::fprintf(stderr, "seed     %llu\n", static_cast<unsigned long long>(flags.sampler.seed));
  std::fprintf(stderr, "load     %.3f s\n", load_seconds);
  std::fprintf(stderr, "prefill  %s\n", rate(prompt.size(), prefill_seconds).c_str());
  std::fprintf(stderr, "decode   %s\n", rate(decoded, decode_seconds).c_str());
  std::fprintf(stderr, "peak memory %.1f MB\n", static_cast<double>(peak_memory()) / 1e6);
}

}  // namespace

void add_run(CLI::App& app) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* command = app.add_subcommand("run", "Write text that continues a prompt");
  command->footer(
      "Without a prompt the text begins at the model's token for the beginning of a text. Generation ends after "
      "N\n"
      "tokens, at the end of the text (the model's EOS or BOS token), or where the context is full. With "
      "--tokens,\n"
      "ids are printed instead of text, no token ends the text, and the file needs no tokenizer.");
  add_model_flag(*command, flags->model);
  add_prompt_flags(*command, flags->prompt, kPromptText | kPromptFile | kPromptTokens);
  command
      ->add_option("-n,--predict,--n-predict", flags->predict,
                   "Tokens to generate after the prompt; -1: until the text ends or the context is full")
      ->check(CLI::Range(-1, 1 << 30))
      ->capture_default_str()
      ->type_name("N");
  SamplerOptions& sampler = flags->sampler;
  command->add_option("--temp", sampler.temp, "Temperature; 0: always the most likely token")
      ->capture_default_str()
      ->type_name("T");
  command->add_option("--top-k", sampler.top_k, "Sample from the K most likely tokens; 0: from all")
      ->capture_default_str()
      ->type_name("K");
  command
      ->add_option("--top-p", sampler.top_p,
                   "Sample from the fewest tokens that together have probability P; 1: from all")
      ->capture_default_str()
      ->type_name("P");
  command
      ->add_option("--min-p", sampler.min_p, "Leave out tokens less likely than P times the most likely; 0: none")
      ->capture_default_str()
      ->type_name("P");
  command->add_option("--repeat-penalty", sampler.repeat_penalty, "Penalty for tokens that came lately; 1: none")
      ->capture_default_str()
      ->type_name("R");
  command
      ->add_option("--repeat-last-n", sampler.repeat_last_n, "How far back 'lately' goes; -1: the whole context")
      ->capture_default_str()
      ->type_name("N");
  command->add_option("-s,--seed", flags->seed, "Seed of the sampler; equal seeds give equal text; -1: a random one")
      ->capture_default_str()
      ->type_name("SEED");
  command
      ->add_option("-c,--ctx-size", flags->context,
                   "Tokens of prompt and text together (default, and 0: the model's, at most 4096)")
      ->check(CLI::Range(0, 1 << 24))
      ->type_name("CONTEXT");
  command->add_option("-b,--batch-size", flags->batch, "Tokens of the prompt that are processed at a time")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str()
      ->type_name("N");
  command->add_flag("--no-display-prompt", flags->no_display_prompt, "Leave the prompt out of the output");
  command->add_flag("--ignore-eos", flags->ignore_eos, "Go on where the model ends the text");
  add_device_flags(*command, flags->model);
  command->callback([flags] { run(*flags); });
}

}  // namespace weft::tools

#include "tools/generate.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>

#include "core/utf8.h"
#include "runtime/generate/stop_strings.h"

namespace weft::tools {

namespace {

EngineOptions engine_options(const ModelFlags& flags, const GenerationFlags& generation) {
  EngineOptions options = flags.engine_options();
  options.context = generation.context;
  options.batch = generation.batch;
  options.state_memory = static_cast<size_t>(generation.state_memory) * 1'000'000;
  return options;
}

}  // namespace

GenerationRequest GenerationFlags::request() const {
  GenerationRequest request;
  request.predict = predict;
  request.stop = stop;
  request.logprobs = logprobs;
  return request;
}

void add_predict_flag(CLI::App& app, GenerationFlags& flags, const std::string& help) {
  app.add_option("-n,--predict,--n-predict", flags.predict, help)
      ->check(CLI::Range(-1, 1 << 30))
      ->capture_default_str()
      ->type_name("N");
}

void add_generation_flags(CLI::App& app, GenerationFlags& flags) {
  SamplerOptions& sampler = flags.sampler;
  app.add_option("--temp", sampler.temp, "Temperature; 0 or less: always choose the most likely token")
      ->capture_default_str()
      ->type_name("T");
  app.add_option("--top-k", sampler.top_k, "Sample from the K most likely tokens; 0: from all")
      ->capture_default_str()
      ->type_name("K");
  app.add_option("--top-p", sampler.top_p,
                 "Sample from the fewest tokens that together have probability P; 1: from all; 0: the most likely")
      ->capture_default_str()
      ->type_name("P");
  app.add_option("--min-p", sampler.min_p, "Exclude tokens less likely than P times the most likely; 0: none")
      ->capture_default_str()
      ->type_name("P");
  app.add_option("--repeat-penalty", sampler.repeat_penalty, "Penalty for recent tokens; 1: none")
      ->capture_default_str()
      ->type_name("R");
  app.add_option("--repeat-last-n", sampler.repeat_last_n, "How many tokens are recent; -1: the whole context")
      ->capture_default_str()
      ->type_name("N");
  app.add_option("-s,--seed", flags.seed, "Seed of the sampler; equal seeds give equal text; -1: a random one")
      ->capture_default_str()
      ->type_name("SEED");
  app.add_option_function<std::string>(
         "--stop", [&flags](const std::string& text) { flags.stop.push_back(text); },
         "End the text before this one, which is not printed; may be given several "
         "times. Text in the prompt does not count")
      ->trigger_on_parse()
      ->type_name("TEXT");
  flags.logprobs_option =
      app.add_option("--logprobs", flags.logprobs,
                     "For each token, write a line of JSON: its id, text and log-probability, and those of the N "
                     "most likely tokens, before penalty, filters and temperature; on stderr")
          ->check(CLI::Range(0, 1 << 30))
          ->type_name("N");
  app.add_option("--logprobs-file", flags.logprobs_file, "With --logprobs: write the lines to this file instead")
      ->needs(flags.logprobs_option)
      ->type_name("FILE");
  app.add_option("-c,--ctx-size", flags.context,
                 "Tokens of prompt and text together (default, and 0: the model's, at most 4096)")
      ->check(CLI::Range(0, 1 << 24))
      ->type_name("CONTEXT");
  app.add_option("-b,--batch-size", flags.batch, "Tokens of the prompt to process at a time")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--state-memory", flags.state_memory,
                 "Of models with states (recurrences): memory for earlier ones, from which a conversation that is cut "
                 "goes on; without any, it is evaluated again from its beginning")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str()
      ->type_name("MB");
}

void complete(GenerationFlags& flags, bool escape) {
  if (escape) {
    for (std::string& stop : flags.stop) stop = unescape(stop);
  }
  try {
    static_cast<void>(Sampler(flags.sampler, 1));
    static_cast<void>(StopStrings(flags.stop));
  } catch (const Error& error) {
    throw CLI::ValidationError(error.what());
  }
  flags.sampler.seed = flags.seed >= 0 ? static_cast<uint64_t>(flags.seed) : std::random_device()();
}

std::string rate(size_t tokens, double seconds) {
  if (tokens == 0 || seconds <= 0) return format("%zu tokens", tokens);
  return format("%zu tokens in %.3f s, %.1f tokens/s", tokens, seconds, static_cast<double>(tokens) / seconds);
}

void print_settings(const Device& device, const ModelFlags& model, const GenerationFlags& flags) {
  std::fprintf(stderr, "\n%s, precision %s\n", device.name().c_str(),
               std::string(name(model.precision_value())).c_str());
  if (flags.sampler.temp > 0) {
    std::fprintf(stderr, "seed     %llu\n", static_cast<unsigned long long>(flags.sampler.seed));
  }
}

void print_memory() { std::fprintf(stderr, "peak memory %.1f MB\n", static_cast<double>(peak_memory()) / 1e6); }

Generator make_generator(const LanguageModel& model, const Device& device, const ModelFlags& flags,
                         const GenerationFlags& generation, const Tokenizer* tokenizer) {
  const EngineOptions options = engine_options(flags, generation);
  warn_beyond_training(model, options.context, "a context of");
  return Generator(waiting_for("loading", [&] { return Engine(model, device, options); }), generation.sampler,
                   tokenizer);
}

bool prefill(Generator& generator, std::span<const int32_t> ids, const std::function<bool()>& interrupted) {
  Progress progress;
  return generator.prefill(ids, [&](size_t done) {
    progress.show(format("prompt: %zu of %zu tokens", done, ids.size()));
    return !interrupted();
  });
}

LogprobsWriter::LogprobsWriter(const GenerationFlags& flags, const Tokenizer* tokenizer)
    : tokenizer_(tokenizer), name_("standard error"), file_(STDERR_FILENO) {
  if (flags.logprobs_file.empty()) return;
  name_ = flags.logprobs_file;
  file_ = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file_ < 0) throw Error(name_ + ": cannot open: " + std::strerror(errno));
}

LogprobsWriter::~LogprobsWriter() {
  if (file_ != STDERR_FILENO) ::close(file_);
}

void LogprobsWriter::write(const TokenLogprobs& token) const {
  const auto entry = [&](const TokenLogprob& of) {
    nlohmann::ordered_json json{{"id", of.id}, {"text", nullptr}};
    if (const auto text = tokenizer_ != nullptr ? token_text(*tokenizer_, of.id) : std::nullopt) {
      json["text"] = make_utf8(*text);
      if (!is_utf8(*text)) json["bytes"] = std::vector<uint8_t>(text->begin(), text->end());
    }
    json["logprob"] = of.logprob;  // -infinity becomes null
    return json;
  };
  nlohmann::ordered_json line = entry(token.chosen);
  line["top_logprobs"] = nlohmann::ordered_json::array();
  for (const TokenLogprob& other : token.best) line["top_logprobs"].push_back(entry(other));
  write_text(file_, line.dump() + "\n", name_);
}

}  // namespace weft::tools

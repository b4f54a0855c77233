#include "tools/generate.h"

#include <algorithm>
#include <cstdio>
#include <random>

namespace weft::tools {

namespace {

EngineOptions engine_options(const ModelFlags& flags, const GenerationFlags& generation) {
  EngineOptions options;
  options.precision = flags.precision_value();
  options.context = generation.context;
  options.batch = generation.batch;
  return options;
}

}  // namespace

std::string decoded(StreamDecoder& decoder, const Tokenizer& tokenizer, int32_t id) {
  return static_cast<size_t>(id) < tokenizer.vocab_size() ? decoder.push(id) : std::string();
}

void add_predict_flag(CLI::App& app, GenerationFlags& flags, const std::string& help) {
  app.add_option("-n,--predict,--n-predict", flags.predict, help)
      ->check(CLI::Range(-1, 1 << 30))
      ->capture_default_str()
      ->type_name("N");
}

void add_generation_flags(CLI::App& app, GenerationFlags& flags) {
  SamplerOptions& sampler = flags.sampler;
  app.add_option("--temp", sampler.temp, "Temperature; 0: always the most likely token")
      ->capture_default_str()
      ->type_name("T");
  app.add_option("--top-k", sampler.top_k, "Sample from the K most likely tokens; 0: from all")
      ->capture_default_str()
      ->type_name("K");
  app.add_option("--top-p", sampler.top_p,
                 "Sample from the fewest tokens that together have probability P; 1: from all")
      ->capture_default_str()
      ->type_name("P");
  app.add_option("--min-p", sampler.min_p, "Leave out tokens less likely than P times the most likely; 0: none")
      ->capture_default_str()
      ->type_name("P");
  app.add_option("--repeat-penalty", sampler.repeat_penalty, "Penalty for tokens that came lately; 1: none")
      ->capture_default_str()
      ->type_name("R");
  app.add_option("--repeat-last-n", sampler.repeat_last_n, "How far back 'lately' goes; -1: the whole context")
      ->capture_default_str()
      ->type_name("N");
  app.add_option("-s,--seed", flags.seed, "Seed of the sampler; equal seeds give equal text; -1: a random one")
      ->capture_default_str()
      ->type_name("SEED");
  app.add_option("-c,--ctx-size", flags.context,
                 "Tokens of prompt and text together (default, and 0: the model's, at most 4096)")
      ->check(CLI::Range(0, 1 << 24))
      ->type_name("CONTEXT");
  app.add_option("-b,--batch-size", flags.batch, "Tokens of the prompt that are processed at a time")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str()
      ->type_name("N");
}

void complete(GenerationFlags& flags) {
  try {
    static_cast<void>(Sampler(flags.sampler, 1));
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

Generator::Generator(const LanguageModel& model, const Device& device, const ModelFlags& flags,
                     const GenerationFlags& generation)
    : engine_(waiting_for("loading", [&] { return Engine(model, device, engine_options(flags, generation)); })),
      sampler_(generation.sampler, static_cast<size_t>(model.vocab)),
      vocab_(model.vocab),
      sequence_(engine_.cache().open()) {}

void Generator::check(std::span<const int32_t> ids) const {
  for (const int32_t id : ids) {
    if (id >= vocab_) {
      throw Error(format("token %d is outside the vocabulary of %lld", id, static_cast<long long>(vocab_)));
    }
  }
}

size_t Generator::trim(size_t count) {
  if (count < static_cast<size_t>(engine_.cache().shortest(sequence_))) count = 0;  // pages before a window are gone
  engine_.cache().trim(sequence_, static_cast<int32_t>(count));
  cached_.resize(count);
  sampler_.forget();  // what was trimmed, and a last token that was chosen and not evaluated
  for (const int32_t id : cached_) sampler_.accept(id);
  return count;
}

bool Generator::prefill(std::span<const int32_t> ids, const std::function<bool()>& interrupted) {
  for (const int32_t id : ids) sampler_.accept(id);
  Progress progress;
  const auto chunk = static_cast<size_t>(engine_.batch());
  for (size_t begin = 0; begin < ids.size(); begin += chunk) {
    if (begin > 0 && interrupted()) return false;
    const std::span<const int32_t> part = ids.subspan(begin, std::min(chunk, ids.size() - begin));
    logits_ = engine_.prefill(sequence_, part);
    cached_.insert(cached_.end(), part.begin(), part.end());
    progress.show(format("prompt: %zu of %zu tokens", begin + part.size(), ids.size()));
  }
  return true;
}

Generator::Reply Generator::generate(int predict, const std::function<bool(int32_t)>& ends,
                                     const std::function<bool(int32_t)>& put) {
  const Stopwatch watch;
  const auto limit = static_cast<size_t>(predict);
  Reply reply;
  while (true) {
    reply.end = End::limit;
    if (predict >= 0 && reply.generated == limit) break;
    const int32_t id = sampler_.sample(logits_);
    reply.end = End::token;
    if (ends(id)) break;
    sampler_.accept(id);
    const bool more = put(id);
    ++reply.generated;
    reply.end = End::interrupted;
    if (!more) break;
    reply.end = End::limit;
    if (predict >= 0 && reply.generated == limit) break;
    reply.end = End::context;
    if (cached_.size() == static_cast<size_t>(engine_.context())) break;
    logits_ = engine_.decode(sequence_, id);
    cached_.push_back(id);
    ++reply.decoded;
  }
  reply.seconds = watch.seconds();
  return reply;
}

}  // namespace weft::tools

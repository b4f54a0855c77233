// What `weft run` and `weft chat` share: flags of generation, and figures about it.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "runtime/generate/generator.h"
#include "tools/common.h"

namespace weft::tools {

struct GenerationFlags {
  int predict = -1;  // the most tokens; -1: no limit
  int context = 0;
  int batch = 512;
  int state_memory = 256;  // MB
  SamplerOptions sampler;
  int64_t seed = 0;  // -1: a random one
  std::vector<std::string> stop;
  CLI::Option* logprobs_option = nullptr;
  int logprobs = -1;  // -1: none
  std::string logprobs_file;

  // predict, stop and logprobs.
  GenerationRequest request() const;
};

// All but -n, whose meaning differs between commands.
void add_generation_flags(CLI::App& app, GenerationFlags& flags);
void add_predict_flag(CLI::App& app, GenerationFlags& flags, const std::string& help);

// Sets the sampler's seed, and replaces escapes in stop strings if `escape` is set. Throws CLI11's ValidationError
// (wrong usage) for invalid sampler values and stop strings: before anything is loaded.
void complete(GenerationFlags& flags, bool escape);

// "17 tokens in 0.123 s, 138.2 tokens/s"
std::string rate(size_t tokens, double seconds);

// Figures on stderr: device and precision, the seed where it matters, peak memory.
void print_settings(const Device& device, const ModelFlags& model, const GenerationFlags& flags);
void print_memory();

// The model on the device, with the engine that the flags describe. `tokenizer` may be null; it must outlive the
// generator.
Generator make_generator(const LanguageModel& model, const Device& device, const ModelFlags& flags,
                         const GenerationFlags& generation, const Tokenizer* tokenizer);

// Evaluates a prompt, with its progress on stderr. Returns false if `interrupted` was true between two chunks;
// part of the prompt is then in the cache.
bool prefill(Generator& generator, std::span<const int32_t> ids, const std::function<bool()>& interrupted);

// Writes what --logprobs requests: a line of JSON for each token, on stderr or to a file, immediately.
class LogprobsWriter {
 public:
  // Throws Error if the file cannot be created. `tokenizer` may be null: tokens then have no text.
  LogprobsWriter(const GenerationFlags& flags, const Tokenizer* tokenizer);
  ~LogprobsWriter();
  LogprobsWriter(const LogprobsWriter&) = delete;
  LogprobsWriter& operator=(const LogprobsWriter&) = delete;

  void write(const TokenLogprobs& token) const;

 private:
  const Tokenizer* tokenizer_;
  std::string name_;
  int file_;
};

}  // namespace weft::tools

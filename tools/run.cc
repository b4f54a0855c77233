// weft run: generates text with a model.
#include <cstdio>
#include <memory>
#include <optional>

#include "tools/common.h"
#include "tools/generate.h"
#include "tools/trace_file.h"

namespace weft::tools {

namespace {

struct RunFlags {
  ModelFlags model;
  PromptFlags prompt;
  GenerationFlags generation;
  bool no_display_prompt = false;
  bool ignore_eos = false;
  std::string trace;  // a file; empty: none
};

std::vector<int32_t> encode_prompt(const PromptFlags& flags, const Tokenizer& tokenizer) {
  std::vector<int32_t> ids = tokenizer.encode(flags.prompt_text(), true);
  if (!ids.empty()) return ids;
  if (tokenizer.bos()) return {*tokenizer.bos()};
  throw Error("the prompt is empty, and the model has no token that begins a text");
}

void run(RunFlags flags) {
  complete(flags.generation, flags.prompt.escape);
  std::vector<int32_t> prompt;
  if (flags.prompt.has_tokens()) {
    prompt = parse_ids(flags.prompt.tokens, "--tokens");
    if (!flags.generation.stop.empty()) {
      throw CLI::ValidationError("--stop", "cannot be used with --tokens, which produces ids, not text");
    }
  }
  std::optional<TraceFile> trace_file;
  if (!flags.trace.empty()) trace_file.emplace(flags.trace);
  const Stopwatch loading;
  const OpenModel open = open_model(flags.model);
  std::unique_ptr<Tokenizer> tokenizer;
  if (!flags.prompt.has_tokens()) {
    tokenizer = open_tokenizer(*open.file, flags.model);
    prompt = encode_prompt(flags.prompt, *tokenizer);
  }
  const Device device = open_device(flags.model);
  Generator generator = make_generator(open.model, device, flags.model, flags.generation, tokenizer.get());
  const double load_seconds = loading.seconds();
  if (prompt.size() > static_cast<size_t>(generator.context())) {
    throw Error(
        format("the prompt has %zu tokens, and the context has room for %d (-c)", prompt.size(), generator.context()));
  }
  generator.check(prompt);
  const LogprobsWriter logprobs(flags.generation, tokenizer.get());

  // Prompt and reply are printed as one text; as ids if the prompt was given as ids.
  std::optional<StreamDecoder> decoder;
  bool first_id = true;
  const auto print_id = [&](int32_t id) {
    print((first_id ? "" : " ") + std::to_string(id));
    first_id = false;
  };
  if (tokenizer != nullptr) decoder.emplace(*tokenizer);
  for (const int32_t id : prompt) {
    const std::string text = decoder ? decoded(*decoder, *tokenizer, id) : std::string();
    if (flags.no_display_prompt) continue;
    if (decoder) {
      print(text);
    } else {
      print_id(id);
    }
  }
  std::optional<RunTrace> trace;
  if (trace_file) generator.plan().trace(&trace.emplace(generator.plan()));
  const Stopwatch prefilling;
  prefill(generator, prompt, [] { return false; });
  const double prefill_seconds = prefilling.seconds();
  GenerationRequest request = flags.generation.request();
  request.ignore_end = flags.ignore_eos;
  request.on_token = [&](int32_t id, const TokenLogprobs* of_token) {
    if (of_token != nullptr) logprobs.write(*of_token);
    if (!decoder) print_id(id);
  };
  request.on_text = print;
  const Stopwatch decoding;
  const Generator::Reply reply = generator.generate(request, decoder ? &*decoder : nullptr);
  const double decode_seconds = decoding.seconds();
  print("\n");
  if (trace_file) trace_file->write(generator.plan(), *trace);

  if (reply.end == Generator::End::context) {
    std::fprintf(stderr, "weft: the context of %d tokens is full (-c)\n", generator.context());
  }
  print_settings(device, flags.model, flags.generation);
  std::fprintf(stderr, "load     %.3f s\n", load_seconds);
  std::fprintf(stderr, "prefill  %s\n", rate(prompt.size(), prefill_seconds).c_str());
  std::fprintf(stderr, "decode   %s\n", rate(reply.decoded, decode_seconds).c_str());
  print_memory();
}

}  // namespace

void add_run(CLI::App& app) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* command = app.add_subcommand("run", "Write text that continues a prompt");
  command->footer(
      "Without a prompt, the text starts from the model's beginning-of-text token. Generation ends after N tokens,\n"
      "at the end of the text (the model's EOS or BOS token), before a text of --stop, or when the context is full.\n"
      "With --tokens, ids are printed instead of text, no token ends the text, and the file needs no tokenizer.");
  add_model_flag(*command, flags->model);
  add_prompt_flags(*command, flags->prompt, kPromptText | kPromptFile | kPromptTokens, "-p and --stop");
  add_predict_flag(*command, flags->generation,
                   "Tokens to generate after the prompt; -1: until the text ends or the context is full");
  add_generation_flags(*command, flags->generation);
  command->add_flag("--no-display-prompt", flags->no_display_prompt, "Leave the prompt out of the output");
  command->add_flag("--ignore-eos", flags->ignore_eos, "Continue where the model ends the text");
  add_trace_flag(*command, flags->trace, "of all steps of the run");
  add_tokenizer_flag(*command, flags->model);
  add_device_flags(*command, flags->model);
  add_cache_flags(*command, flags->model);
  add_kernel_flag(*command, flags->model);
  command->callback([flags] { run(*flags); });
}

}  // namespace weft::tools

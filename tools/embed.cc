// weft embed: vectors of texts.
#include <charconv>
#include <cmath>
#include <cstdio>

#include "runtime/files/output_file.h"
#include "runtime/generate/text_embedder.h"
#include "tools/common.h"

namespace weft::tools {

namespace {

struct EmbedFlags {
  ModelFlags model;
  PromptFlags prompt;
  std::string pool;  // empty: the model's own, or mean
  bool normalize = false;
  int context = 0;
  int batch = 512;
  std::string output;  // empty: JSON on stdout

  std::optional<Pooling> pooling() const {
    if (pool.empty()) return std::nullopt;
    return pool == "mean" ? Pooling::mean : pool == "cls" ? Pooling::first : Pooling::last;
  }
};

struct Text {
  std::string name;  // for messages
  std::vector<int32_t> tokens;
};

// -p is one text, -f one for each of its lines.
std::vector<Text> encoded_texts(const PromptFlags& flags, const Tokenizer& tokenizer) {
  const std::string content = flags.prompt_text();
  std::vector<Text> texts;
  if (flags.file_option == nullptr || !*flags.file_option) {
    texts.push_back({"the text", tokenizer.encode(content, true)});
    return texts;
  }
  if (content.empty()) throw Error(flags.file_name() + ": has no text");
  for (size_t begin = 0; begin <= content.size();) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    const std::string name = flags.file_name() + ", line " + std::to_string(texts.size() + 1);
    texts.push_back({name, tokenizer.encode(content.substr(begin, end - begin), true)});
    begin = end + 1;
  }
  return texts;
}

std::vector<Text> read_texts(const EmbedFlags& flags, const Checkpoint& file) {
  std::vector<Text> texts;
  if (flags.prompt.has_tokens()) texts.push_back({"the text", parse_ids(flags.prompt.tokens, "--tokens")});
  else texts = encoded_texts(flags.prompt, *open_tokenizer(file, flags.model));
  for (const Text& text : texts) {
    if (text.tokens.empty()) throw Error(text.name + " has no tokens");
  }
  return texts;
}

// The fewest digits that read back as the same f32; JSON has no infinities and no NaN.
std::string json_number(float x) {
  if (!std::isfinite(x)) return "null";
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, x).ptr;
  return {digits, end};
}

std::string json_line(size_t index, const Text& text, std::span<const float> vector) {
  std::string line = format("{\"index\":%zu,\"tokens\":%zu,\"embedding\":[", index, text.tokens.size());
  for (size_t i = 0; i < vector.size(); ++i) line += (i == 0 ? "" : ",") + json_number(vector[i]);
  return line + "]}\n";
}

void run(const EmbedFlags& flags) {
  const OpenModel open = open_model(flags.model);
  const std::vector<Text> texts = read_texts(flags, *open.file);
  EngineOptions options = flags.model.engine_options();
  options.context = flags.context;
  options.batch = flags.batch;
  warn_beyond_training(open.model, options.context, "a context of");
  const Device device = open_device(flags.model);
  TextEmbedder embedder = waiting_for(
      "loading", [&] { return TextEmbedder(open.model, device, options, {flags.pooling(), flags.normalize}); });

  std::optional<OutputFile> output;
  if (!flags.output.empty()) output.emplace(flags.output);
  Progress progress;
  for (size_t i = 0; i < texts.size(); ++i) {
    std::span<const float> vector;
    try {
      vector = embedder.embed(texts[i].tokens);
    } catch (const Error& error) {
      progress.clear();
      throw Error(texts[i].name + ": " + error.what());
    }
    if (output) {
      output->write(vector.data(), vector.size_bytes());
      progress.show(format("%zu of %zu texts", i + 1, texts.size()));
    } else {
      print(json_line(i, texts[i], vector));
    }
  }
  progress.clear();
  if (!output) return;
  output->finish();
  std::fprintf(stderr, "%s: %zu texts x %lld numbers (%s, precision %s)\n", flags.output.c_str(), texts.size(),
               static_cast<long long>(embedder.width()), device.name().c_str(), flags.model.precision.c_str());
}

}  // namespace

void add_embed(CLI::App& app) {
  auto flags = std::make_shared<EmbedFlags>();
  CLI::App* command = app.add_subcommand("embed", "Print the vectors of texts");
  command->footer(
      "A line of JSON for each text: its index, its number of tokens, and its vector. With -f every line of the file\n"
      "is a text. With -p and -f the special tokens that the model asks for are added. Vectors are those of the "
      "model,\n"
      "if it pools its hidden states by itself, and otherwise pooled from its last hidden states, after the last "
      "norm.");
  add_model_flag(*command, flags->model);
  add_prompt_flags(*command, flags->prompt, kPromptText | kPromptFile | kPromptTokens);
  command
      ->add_option("--pool", flags->pool,
                   "Hidden states that are the vector: their mean, that of the first token (cls), or of the last "
                   "(default: as the model pools by itself; if it does not, mean)")
      ->check(CLI::IsMember({"mean", "cls", "last"}))
      ->type_name("POOL");
  command->add_flag("--normalize", flags->normalize, "Divide each vector by its length");
  command->add_option("-o,--output", flags->output, "Write little-endian f32 to this file instead, a row for each text")
      ->type_name("OUT.f32");
  add_size_flags(*command, flags->context, flags->batch);
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

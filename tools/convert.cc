// weft convert: converts a directory of safetensors to a GGUF file.
#include <cstdio>
#include <set>

#include "models/registry.h"
#include "runtime/convert/convert.h"
#include "runtime/files/ggml_type.h"
#include "runtime/files/model_config.h"
#include "tools/common.h"
#include "tools/gguf_output.h"

namespace weft::tools {

namespace {

struct ConvertFlags {
  std::string input, output, type;
  int threads = 0;
  std::optional<uint64_t> split_max_size;
};

void run(const ConvertFlags& flags) {
  const auto checkpoint = Checkpoint::open(flags.input, Checkpoint::Purpose::convert);
  if (checkpoint->convention() == Convention::gguf) throw Error(flags.input + ": is a GGUF file already");
  std::optional<Format> type;
  if (flags.type == "F32") type = Format::f32;
  if (flags.type == "F16") type = Format::f16;
  if (flags.type == "BF16") type = Format::bf16;
  const LanguageModel model = load_model(checkpoint);
  const std::vector<ConvertedTensor> tensors = convert_tensors(model, checkpoint, type);
  GgufMetadata metadata = convert_config(model, checkpoint, tensors);
  convert_tokenizer(checkpoint->directory(), tensors.front().shape.at(1), metadata);

  std::vector<GgufTensorPlan> plans;
  size_t whole = 0, done = 0;
  for (const ConvertedTensor& tensor : tensors) {
    plans.push_back({tensor.name, tensor.shape, ggml_type_id(tensor.format)});
    whole += tensor_bytes(plans.back());
  }
  const int threads = thread_count(flags.threads);
  std::set<std::string> inputs;
  for (const CheckpointTensor& tensor : checkpoint->tensors()) inputs.insert(tensor.file->path());
  GgufOutput output(flags.output, std::move(metadata), std::move(plans), flags.split_max_size, inputs);
  const Stopwatch watch;
  Progress progress;
  for (const ConvertedTensor& tensor : tensors) {
    write_converted(checkpoint->path(), tensor, threads, [&](std::span<const uint8_t> part) {
      output.writer().write(part);
      done += part.size();
      progress.show(progress_bar(static_cast<double>(done) / static_cast<double>(whole)) + "  " + tensor.name);
    });
  }
  output.finish();
  progress.clear();
  std::fprintf(stderr, "%s: %zu tensors, %.1f MB, %.1f s\n", output.name().c_str(), tensors.size(),
               static_cast<double>(whole) / 1e6, watch.seconds());
  const ModelConfig config(checkpoint);
  if (config.rope_scaling_type() == "dynamic") {
    std::fprintf(stderr,
                 "note: GGUF cannot express dynamic scaling: the file matches the directory up to %lld tokens\n",
                 static_cast<long long>(config.count("context_length")));
  }
}

}  // namespace

void add_convert(CLI::App& app) {
  auto flags = std::make_shared<ConvertFlags>();
  CLI::App* command = app.add_subcommand("convert", "Make a GGUF file of a directory of safetensors");
  command->footer(
      "The tokenizer and the chat template are included. "
      "Vectors and the routers of experts are stored as F32.");
  command->add_option("DIR", flags->input, "Directory with config.json, safetensors and tokenizer")
      ->required()
      ->type_name("DIR");
  command->add_option("OUT", flags->output, "GGUF file to write; it appears when it is complete")
      ->required()
      ->type_name("FILE");
  command->add_option("--type", flags->type, "Type of the matrices: F32, F16 or BF16 (default: as they are stored)")
      ->transform(CLI::IsMember({"F32", "F16", "BF16"}, CLI::ignore_case))
      ->type_name("TYPE");
  command->add_option("-t,--threads", flags->threads, "Threads (default and limit: the CPUs that this process may use)")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  add_split_flag(*command, flags->split_max_size);
  command->callback([flags] { run(*flags); });
}

}  // namespace weft::tools

// weft quantize: a GGUF file in another number format.
#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "core/utf8.h"
#include "runtime/convert/quantize_mix.h"
#include "runtime/convert/reencode.h"
#include "runtime/files/ggml_type.h"
#include "runtime/files/gguf_split.h"
#include "runtime/files/gguf_writer.h"
#include "tools/common.h"
#include "tools/gguf_output.h"

namespace weft::tools {

namespace {

struct QuantizeFlags {
  std::string input, output, type;
  int threads = 0;
  bool allow_requantize = false;
  std::optional<uint64_t> split_max_size;
};

std::string target_names() {
  std::string names;
  for (const QuantizeTarget& target : quantize_targets()) {
    names += (names.empty() ? "" : ", ") + std::string(target.name);
  }
  return names;
}

// What happens to a tensor of the input.
struct TensorTask {
  const GgufTensor* tensor;
  size_t elements;
  std::optional<Format> from;  // nothing: its bytes are copied
  Format to = Format::f32;
  // Where the format wants one: the tensor that follows, with what the elements are divided by, and its length.
  std::string scale = {};
  size_t scales = 0;
};

// One scale, or one per expert, as llama.cpp wants it.
void add_scale(TensorTask& task, const GgufFile& file) {
  constexpr std::string_view kWeight = "weight";  // all quantized tensors' names end so
  const std::string name =
      std::string(task.tensor->name.substr(0, task.tensor->name.size() - kWeight.size())) + "scale";
  if (info(task.to).tensor_reach == 0 || task.from == task.to || file.find_tensor(name) != nullptr) return;
  const auto shape = task.tensor->shape();
  task.scale = name;
  task.scales = shape.size() > 2 ? shape[2] : 1;
}

std::vector<TensorTask> plan_tensors(const GgufFile& file, const QuantizeTarget& target, bool allow_requantize,
                                     std::string& fallbacks) {
  const MixFacts facts = mix_facts(file);
  std::vector<TensorTask> tasks;
  for (const GgufTensor& tensor : file.tensors()) {
    TensorTask task{&tensor, tensor.elements(), {}};
    if (is_quantized(tensor) && task.elements != 0) {
      const FormatChoice choice = choose_format(target, facts, tensor.name, tensor.shape()[0]);
      if (choice.format != choice.wanted) {
        fallbacks += format("  %s: rows of %zu do not divide into blocks of %s: %s\n", std::string(tensor.name).c_str(),
                            tensor.shape()[0], std::string(name(choice.wanted)).c_str(),
                            std::string(name(choice.format)).c_str());
      }
      const Format from = file.format(tensor);
      if (!info(from).is_float) {
        throw Error(tensor.file->path() + ": tensor " + in_quotes(tensor.name) + " is of type " +
                    std::string(name(from)) + ", which holds no weights");
      }
      if (info(from).block_elements > 1 && from != choice.format && !allow_requantize) {
        throw Error(tensor.file->path() + ": tensor " + in_quotes(tensor.name) + " is quantized already, as " +
                    std::string(name(from)) +
                    "; quantizing it again loses more, so start from F32, F16 or BF16, or use --allow-requantize");
      }
      task.from = from;
      task.to = choice.format;
      add_scale(task, file);
    }
    tasks.push_back(task);
  }
  return tasks;
}

void run(const QuantizeFlags& flags) {
  const QuantizeTarget& target = *find_quantize_target(flags.type);
  std::error_code ignored;
  if (std::filesystem::equivalent(flags.input, flags.output, ignored)) {
    throw Error(flags.output + ": is the input; write to another file");
  }
  std::filesystem::path input = flags.input;
  if (std::filesystem::is_directory(input, ignored)) {
    input = gguf_in(input);
    if (input.empty()) {
      // Another framework's quantization cannot be converted with `weft convert` either.
      if (is_there(std::filesystem::path(flags.input) / "config.json")) {
        const auto directory = Checkpoint::open(flags.input);
        if (!directory->unsupported().empty()) throw Error(directory->unsupported());
      }
      throw Error(flags.input + ": is a directory; convert it to a GGUF file with `weft convert`");
    }
  }
  const GgufFile file = GgufFile::open(input);
  std::string fallbacks;
  const std::vector<TensorTask> tasks = plan_tensors(file, target, flags.allow_requantize, fallbacks);

  GgufMetadata metadata;
  for (const GgufEntry& entry : file.metadata()) metadata.set(entry.key, entry.value);
  // Whatever integer type the input has.
  if (file.find("general.alignment") != nullptr) metadata.set("general.alignment", file.alignment());
  metadata.set("general.quantization_version", uint32_t{2});
  if (target.file_type) {
    metadata.set("general.file_type", *target.file_type);
  } else {
    metadata.erase("general.file_type");
  }
  std::vector<GgufTensorPlan> plans;
  size_t bytes_out = 0;
  for (const TensorTask& task : tasks) {
    const auto shape = task.tensor->shape();
    plans.push_back({std::string(task.tensor->name),
                     {shape.begin(), shape.end()},
                     task.from ? ggml_type_id(task.to) : task.tensor->type});
    bytes_out += tensor_bytes(plans.back());
    if (task.scale.empty()) continue;
    plans.push_back({task.scale, {task.scales}, ggml_type_id(Format::f32)});
    bytes_out += tensor_bytes(plans.back());
  }

  const int threads = thread_count(flags.threads);
  std::set<std::string> inputs;
  for (const GgufPart& part : file.parts()) inputs.insert(part.file->path());
  GgufOutput output(flags.output, std::move(metadata), std::move(plans), flags.split_max_size, inputs);
  GgufWriter& writer = output.writer();
  const Stopwatch watch;
  Progress progress;
  size_t whole = 0, elements = 0, bytes_in = 0, done = 0;
  std::map<std::string, int, std::less<>> kinds;
  for (const TensorTask& task : tasks) whole += task.tensor->bytes;
  for (size_t i = 0; i < tasks.size(); ++i) {
    const TensorTask& task = tasks[i];
    const GgufTensor& tensor = *task.tensor;
    const auto show = [&](size_t part) {
      const double share = static_cast<double>(done + part) / static_cast<double>(std::max<size_t>(whole, 1));
      progress.show(format("%s  %zu/%zu  %s", progress_bar(share).c_str(), i + 1, tasks.size(),
                           std::string(tensor.name).c_str()));
    };
    if (task.from) {
      size_t written = 0;
      const size_t total = row_bytes(task.to, task.elements);
      ReencodeJob job = whole_tensor(tensor.file->path() + ": tensor " + in_quotes(tensor.name), *task.from, task.to,
                                     reinterpret_cast<const std::byte*>(tensor.data), task.elements);
      if (!task.scale.empty()) {
        const float scale = largest_magnitude(job, threads) / info(task.to).tensor_reach;
        if (scale > 0) job.divisor = scale;
      }
      reencode(job, threads, [&](std::span<const uint8_t> part) {
        writer.write(part);
        written += part.size();
        show(static_cast<size_t>(static_cast<double>(tensor.bytes) * static_cast<double>(written) /
                                 static_cast<double>(total)));
      });
      if (!task.scale.empty()) {
        const std::vector<float> scales(task.scales, job.divisor);
        writer.write({reinterpret_cast<const uint8_t*>(scales.data()), scales.size() * sizeof(float)});
        ++kinds[std::string(name(Format::f32))];
      }
    } else {
      writer.write({tensor.data, tensor.bytes});
      show(tensor.bytes);
    }
    tensor.file->drop(tensor.offset, tensor.bytes);
    ++kinds[task.from ? std::string(name(task.to)) : std::string(tensor.type_name)];
    done += tensor.bytes;
    elements += task.elements;
    bytes_in += tensor.bytes;
  }
  output.finish();
  progress.clear();

  std::string counts;
  for (const auto& [kind, count] : kinds) {
    counts += format("%s%d %s", counts.empty() ? "" : ", ", count, kind.c_str());
  }
  if (!fallbacks.empty()) std::fprintf(stderr, "other formats where rows do not divide:\n%s", fallbacks.c_str());
  std::fprintf(stderr, "%s: %s: %s; %.1f -> %.1f MB, %.2f bits per weight, %.1f s\n", output.name().c_str(),
               std::string(target.name).c_str(), counts.c_str(), static_cast<double>(bytes_in) / 1e6,
               static_cast<double>(bytes_out) / 1e6,
               8 * static_cast<double>(bytes_out) / static_cast<double>(std::max<size_t>(elements, 1)),
               watch.seconds());
}

}  // namespace

void add_quantize(CLI::App& app) {
  auto flags = std::make_shared<QuantizeFlags>();
  CLI::App* command = app.add_subcommand("quantize", "Store a model's matrices in another number format");
  command->footer(
      "Types ending in _S, _M and _L are mixes, which give some tensors more bits, as llama.cpp does (its Q2_K\n"
      "is Q2_K_M here); the others are one format for all matrices. Norms, biases and the routers of experts\n"
      "stay as they are. Tensors whose rows do not divide into blocks of a type get another; they are listed.\n"
      "NVFP4 adds a tensor NAME.scale to each matrix. llama.cpp runs all of these but Q8_K, which it has for\n"
      "activations only, and NVFP4 embeddings, for which it knows no scale.");
  command->add_option("IN", flags->input, "GGUF model file, or any part of a split one")->required()->type_name("FILE");
  command->add_option("OUT", flags->output, "File to write; it appears when it is complete")
      ->required()
      ->type_name("FILE");
  command->add_option("--type", flags->type, "Type to produce: " + target_names())
      ->required()
      ->check([](const std::string& type) {
        return find_quantize_target(type) != nullptr ? std::string()
                                                     : "no type '" + type + "': there are " + target_names();
      })
      ->type_name("TYPE");
  command->add_option("-t,--threads", flags->threads, "Threads (default and limit: the CPUs that this process may use)")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  add_split_flag(*command, flags->split_max_size);
  command->add_flag("--allow-requantize", flags->allow_requantize,
                    "Accept a file whose matrices are quantized already, and lose precision twice");
  command->callback([flags] { run(*flags); });
}

}  // namespace weft::tools

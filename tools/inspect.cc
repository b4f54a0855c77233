// weft inspect: what is in a model file.
#include <algorithm>

#include "runtime/utf8.h"
#include "tools/common.h"

namespace weft::tools {

namespace {

std::string text_of(const GgufValue& value) {
  if (const auto text = value.as_string()) return in_quotes(*text);
  if (const auto flag = value.as_bool()) return *flag ? "true" : "false";
  if (const auto number = value.as_u64()) return std::to_string(*number);
  if (const auto number = value.as_i64()) return std::to_string(*number);
  if (const auto number = value.as_f64()) return format("%.9g", *number);
  constexpr size_t kShown = 4;
  std::string text = "[";
  for (const GgufValue& element : value.elements(kShown)) {
    text += (text.size() > 1 ? ", " : "") + text_of(element);
  }
  return text + (value.count() > kShown ? format(", ... %zu in all]", static_cast<size_t>(value.count())) : "]");
}

std::string pad(std::string_view text, size_t width) {
  return std::string(text) + std::string(width > text.size() ? width - text.size() : 0, ' ');
}

// Names come from the file: nothing in them may act on a terminal.
std::string shown(std::string_view name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; });
  return plain ? std::string(name) : in_quotes(name);
}

void run(const ModelFlags& flags) {
  const std::shared_ptr<const GgufFile> file = open_file(flags);
  print(format("%s: GGUF version %u, %zu bytes, %zu metadata entries, %zu tensors\n\n", file->path().c_str(),
               file->version(), file->file().size(), file->metadata().size(), file->tensors().size()));
  size_t key_width = 0, type_width = 0, name_width = 0;
  for (const GgufEntry& entry : file->metadata()) {
    key_width = std::max(key_width, shown(entry.key).size());
    type_width = std::max(type_width, entry.value.type_name().size());
  }
  for (const GgufTensor& tensor : file->tensors()) name_width = std::max(name_width, shown(tensor.name).size());

  for (const GgufEntry& entry : file->metadata()) {
    print(pad(shown(entry.key), key_width) + "  " + pad(entry.value.type_name(), type_width) + "  " +
          text_of(entry.value) + "\n");
  }
  print("\n");
  double elements = 0;
  for (const GgufTensor& tensor : file->tensors()) {
    std::string shape;
    double count = 1;
    for (const size_t extent : tensor.shape()) {  // the row length first, as the file has it
      shape += (shape.empty() ? "" : " x ") + std::to_string(extent);
      count *= static_cast<double>(extent);
    }
    elements += count;
    print(pad(shown(tensor.name), name_width) + "  " + pad(tensor.type_name, 6) + "  " + pad(shape, 16) +
          format("  %12zu bytes at %llu\n", tensor.bytes, static_cast<unsigned long long>(tensor.offset)));
  }
  print(format("\n%.0f parameters\n", elements));
}

}  // namespace

void add_inspect(CLI::App& app) {
  auto flags = std::make_shared<ModelFlags>();
  CLI::App* command = app.add_subcommand("inspect", "Show the metadata and tensors of a model file");
  command->footer("Extents of tensors are in the file's order: the one that is contiguous in memory first.");
  command->add_option("FILE,-m,--model", flags->model,
                      "Model file, GGUF (default: the model that comes with Weft)");
  command->callback([flags] { run(*flags); });
}

}  // namespace weft::tools

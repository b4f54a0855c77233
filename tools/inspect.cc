// weft inspect: shows the contents of a model file.
#include <algorithm>
#include <array>
#include <concepts>
#include <tuple>
#include <variant>

#include "core/utf8.h"
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

// Names come from the file: nothing in them may affect a terminal.
std::string shown(std::string_view name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; });
  return plain ? std::string(name) : in_quotes(name);
}

std::string text_of(const ConfigValue& value) {
  return std::visit(
      []<class T>(const T& v) -> std::string {
        if constexpr (std::same_as<T, bool>) return v ? "true" : "false";
        else if constexpr (std::same_as<T, int64_t>) return std::to_string(v);
        else if constexpr (std::same_as<T, double>) return format("%.9g", v);
        else if constexpr (std::same_as<T, std::string>) return in_quotes(v);
        else return format("a list of %zu", v.size());
      },
      value);
}

void print_entries(const std::vector<std::array<std::string, 3>>& rows) {
  size_t key_width = 0, type_width = 0;
  for (const auto& [key, type, value] : rows) {
    key_width = std::max(key_width, key.size());
    type_width = std::max(type_width, type.size());
  }
  for (const auto& [key, type, value] : rows)
    print(pad(key, key_width) + "  " + pad(type, type_width) + "  " + value + "\n");
}

void run(const ModelFlags& flags) {
  const std::shared_ptr<const Checkpoint> file = open_file(flags);
  std::vector<std::array<std::string, 3>> entries;
  // Where there may be several.
  const bool names_files = file->gguf() == nullptr || file->gguf()->parts().size() > 1;
  if (const GgufFile* gguf = file->gguf()) {
    print(format("%s: GGUF version %u, %zu bytes, %zu metadata entries, %zu tensors\n", file->path().c_str(),
                 gguf->version(), file->bytes(), gguf->metadata().size(), gguf->tensors().size()));
    for (const GgufPart& part : gguf->parts()) {
      if (names_files)
        print(format("  %s: %zu bytes, %zu tensors\n", part.file->path().c_str(), part.file->size(), part.tensors));
    }
    print("\n");
    for (const GgufEntry& entry : gguf->metadata()) {
      entries.push_back({shown(entry.key), entry.value.type_name(), text_of(entry.value)});
    }
  } else {
    print(format("%s: safetensors, %zu bytes, %zu tensors\n\n", file->path().c_str(), file->bytes(),
                 file->tensors().size()));
    for (const auto& [key, value] : file->config()) entries.push_back({shown(key), "", text_of(value)});
  }
  print_entries(entries);
  print("\n");

  // In the order of the files.
  std::vector<const CheckpointTensor*> tensors;
  for (const CheckpointTensor& tensor : file->tensors()) tensors.push_back(&tensor);
  std::sort(tensors.begin(), tensors.end(), [](const CheckpointTensor* a, const CheckpointTensor* b) {
    return std::tie(a->file->path(), a->data, a->name) < std::tie(b->file->path(), b->data, b->name);
  });
  size_t name_width = 0;
  for (const CheckpointTensor* tensor : tensors) name_width = std::max(name_width, shown(tensor->name).size());
  double elements = 0;
  for (const CheckpointTensor* tensor : tensors) {
    std::string shape;
    double count = 1;
    for (size_t i = tensor->extents.size(); i-- > 0;) {  // the row length first, as GGUF tools print it
      shape += (shape.empty() ? "" : " x ") + std::to_string(tensor->extents[i]);
      count *= static_cast<double>(tensor->extents[i]);
    }
    elements += count;
    const auto offset = reinterpret_cast<const uint8_t*>(tensor->data) - tensor->file->data();
    print(pad(shown(tensor->name), name_width) + "  " + pad(tensor->type_name, 6) + "  " + pad(shape, 16) +
          format("  %12zu bytes at %lld", tensor->bytes, static_cast<long long>(offset)) +
          (!names_files ? "" : " of " + std::filesystem::path(tensor->file->path()).filename().string()) + "\n");
  }
  print(format("\n%.0f parameters\n", elements));
  if (!file->unsupported().empty()) print("\ncannot be run: " + file->unsupported() + "\n");
}

}  // namespace

void add_inspect(CLI::App& app) {
  auto flags = std::make_shared<ModelFlags>();
  CLI::App* command = app.add_subcommand("inspect", "Show the metadata and tensors of a model");
  command->footer("Extents of tensors: the one that is contiguous in memory comes first, as in GGUF.");
  command->add_option("FILE,-m,--model", flags->model,
                      "GGUF file (any part of a split one), or directory with safetensors (default: the model "
                      "that comes with Weft)");
  command->callback([flags] { run(*flags); });
}

}  // namespace weft::tools

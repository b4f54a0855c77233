#include "tools/gguf_output.h"

#include <charconv>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace weft::tools {

namespace {

// "300M". Powers of 1000, as for storage devices and in llama.cpp's gguf-split.
uint64_t parse_size(const std::string& text) {
  constexpr std::string_view kUnits = "KMG";
  uint64_t size = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  bool good = error == std::errc();
  if (const char* unit = stop; good && unit != text.data() + text.size()) {
    const size_t power = kUnits.find(static_cast<char>(*unit >= 'a' ? *unit - 'a' + 'A' : *unit));
    good = power != kUnits.npos && unit + 1 == text.data() + text.size();
    for (size_t i = 0; good && i <= power; ++i) good = !__builtin_mul_overflow(size, 1000, &size);
  }
  if (good && size != 0) return size;
  throw CLI::ValidationError("--split-max-size", "'" + text + "' is not a size: wanted a number, with K, M or G (2G)");
}

}  // namespace

void add_split_flag(CLI::App& app, std::optional<uint64_t>& max_bytes) {
  app.add_option_function<std::string>(
         "--split-max-size", [&max_bytes](const std::string& text) { max_bytes = parse_size(text); },
         "Write OUT as parts of at most SIZE bytes: of x.gguf, x-00001-of-00003.gguf and so on, as llama.cpp has "
         "them. "
         "SIZE: a number, with K, M or G for powers of 1000. A larger tensor is alone in its part")
      ->type_name("SIZE");
}

GgufOutput::GgufOutput(const std::filesystem::path& path, GgufMetadata metadata, std::vector<GgufTensorPlan> tensors,
                       std::optional<uint64_t> max_bytes, const std::set<std::string>& inputs)
    : writer_(path, std::move(metadata), std::move(tensors), max_bytes), guard_(writer_.temporaries()) {
  for (const std::string& output : writer_.paths()) {
    for (const std::string& input : inputs) {
      std::error_code ignored;
      if (!std::filesystem::equivalent(input, output, ignored)) continue;
      throw Error(output + ": is part of the input; write to another file");
    }
  }
}

void GgufOutput::finish() {
  writer_.complete();
  guard_.hold();
  writer_.finish();
}

std::string GgufOutput::name() const {
  const size_t parts = writer_.paths().size();
  return writer_.paths().front() + (parts == 1 ? "" : " (" + std::to_string(parts) + " parts)");
}

}  // namespace weft::tools

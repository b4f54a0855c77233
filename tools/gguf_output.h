// The output of a command: a GGUF file, or the parts of a split one.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/files/gguf_writer.h"
#include "tools/interrupt.h"

namespace weft::tools {

// --split-max-size
void add_split_flag(CLI::App& app, std::optional<uint64_t>& max_bytes);

// A GgufWriter whose unfinished files are removed with this object, or by the signal that ends the program. Throws
// Error if it would replace one of `inputs`.
class GgufOutput {
 public:
  GgufOutput(const std::filesystem::path& path, GgufMetadata metadata, std::vector<GgufTensorPlan> tensors,
             std::optional<uint64_t> max_bytes, const std::set<std::string>& inputs);

  GgufWriter& writer() { return writer_; }
  // Puts all files in their places; signals that arrive meanwhile wait.
  void finish();
  // "out.gguf", or "out-00001-of-00003.gguf (3 parts)".
  std::string name() const;

 private:
  GgufWriter writer_;
  RemoveOnSignal guard_;
};

}  // namespace weft::tools

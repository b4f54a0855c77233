// A model on disk, whatever its packaging: a GGUF file, or a directory of safetensors files with config.json.
//
// Tensors are views into mapped files. `open` has checked every offset and shape; what a tensor is for, and how its
// name and hyperparameters translate between conventions, is the business of WeightLoader and ModelConfig.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/format.h"
#include "runtime/gguf.h"

namespace weft {

// How tensors and hyperparameters are named.
enum class Convention : uint8_t { gguf, hugging_face };

struct CheckpointTensor {
  std::string_view name;
  std::vector<int64_t> extents;   // from slow to fast: the last one is contiguous in memory
  std::optional<Format> format;   // nothing: a type that this build does not compute with
  std::string_view type_name;     // "Q6_K", "BF16"
  const std::byte* data = nullptr;
  size_t bytes = 0;
};

class Checkpoint {
 public:
  // A GGUF file, a directory that holds config.json and model.safetensors (or its shards with
  // model.safetensors.index.json), or one .safetensors file beside a config.json. Throws Error, naming the file and
  // the byte, key or tensor at fault.
  static std::shared_ptr<const Checkpoint> open(const std::filesystem::path& path);
  virtual ~Checkpoint() = default;

  const std::string& path() const { return path_; }
  virtual Convention convention() const = 0;

  // In the order of names.
  const std::vector<CheckpointTensor>& tensors() const { return tensors_; }
  const CheckpointTensor* find(std::string_view tensor) const;  // null if absent

  // The file, for what only GGUF has; null for a directory.
  virtual const GgufFile* gguf() const { return nullptr; }
  // The directory with config.json, tokenizer.json and their like; empty for GGUF.
  virtual std::filesystem::path directory() const { return {}; }

  // Tells the system that these bytes of the mapping are not needed for now.
  virtual void drop(const std::byte* data, size_t bytes) const = 0;

 protected:
  std::string path_;
  std::vector<CheckpointTensor> tensors_;  // sorted by name
};

}  // namespace weft

// A model on disk, whatever its packaging: a GGUF file, or a directory of safetensors files with config.json.
//
// Tensors are views into mapped files, whose offsets and shapes are checked when the files are opened. What a
// tensor is for, and how names translate between conventions, is up to WeightLoader and ModelConfig.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/format/format.h"
#include "core/record/weight_source.h"
#include "runtime/files/gguf.h"
#include "runtime/files/safetensors.h"

namespace weft {

// How tensors and hyperparameters are named.
enum class Convention : uint8_t { gguf, hugging_face };

struct CheckpointTensor {
  std::string_view name;
  std::vector<int64_t> extents;  // from slow to fast: the last one is contiguous in memory
  std::optional<Format> format;  // nothing: a type that this build cannot compute with
  std::string_view type_name;    // "Q6_K", "BF16"
  const std::byte* data = nullptr;
  size_t bytes = 0;
  const MappedFile* file = nullptr;  // the file that holds the data
};

// A hyperparameter: a boolean, an integer, a number, a text, or a list of numbers (booleans as 0 and 1) or of
// texts.
using ConfigValue = std::variant<bool, int64_t, double, std::string, std::vector<double>, std::vector<std::string>>;

// Integers and numbers; nothing for the other kinds.
std::optional<double> as_number(const ConfigValue& value);

// Immutable, so threads may share one.
class Checkpoint : public WeightSource {
 public:
  // Why it is opened: what weights are in memory is put together only for computing.
  enum class Purpose : uint8_t { compute, convert };

  // A GGUF file, or any part of a split one; a directory that holds config.json and model.safetensors (or shards, and
  // model.safetensors.index.json); a .safetensors file in such a directory; or a directory without these that holds
  // one GGUF model. Throws Error, naming the file and the byte, key or tensor at fault.
  static std::shared_ptr<const Checkpoint> open(const std::filesystem::path& path, Purpose purpose = Purpose::compute);

  const std::string& path() const { return path_; }
  Purpose purpose() const { return purpose_; }
  Convention convention() const { return gguf_ ? Convention::gguf : Convention::hugging_face; }
  // Null for safetensors.
  const GgufFile* gguf() const { return gguf_ ? &*gguf_ : nullptr; }
  // The folder of config.json, tokenizer.json and the like; empty for GGUF.
  const std::filesystem::path& directory() const { return directory_; }
  size_t bytes() const;                            // of all files with tensors
  std::vector<SourceFile> files() const override;  // those

  // The family, as models/ names it. Where no family declares it: the file's general.architecture or model_type.
  const std::string& architecture() const { return architecture_; }
  std::string name() const;  // as the model calls itself; may be empty

  // GGUF: keys that begin with the architecture, without that prefix ("attention.head_count"). config.json: its
  // keys, with those of nested objects joined by dots ("rope_scaling.factor"); null values are absent.
  const std::map<std::string, ConfigValue, std::less<>>& config() const { return config_; }
  // The defaults of keys that the file lacks: those of Hugging Face transformers for config.json (a null value
  // counts as lacking), those of llama.cpp for GGUF files.
  const std::map<std::string, ConfigValue, std::less<>>& assumed() const { return assumed_; }
  // Why nothing can be computed with the weights, in one line that begins with the file and the key or tensor:
  // another framework quantized them, or ggml did in a way that this build does not read. Empty if they can be
  // read.
  const std::string& unsupported() const { return unsupported_; }

  // Whether both tensors exist and differ in extents, type or bytes. Reads both.
  bool differ(std::string_view a, std::string_view b) const;

  // Throws Error about a key of `config`: "FILE: byte N: key 'K': reason", or "FILE: key 'K': reason".
  [[noreturn]] void fail(std::string_view key, std::string_view reason) const;

  // Sorted by name.
  const std::vector<CheckpointTensor>& tensors() const { return tensors_; }
  const CheckpointTensor* find(std::string_view tensor) const;  // null if absent

 private:
  Checkpoint() = default;
  void read_gguf();
  void read_directory(const std::filesystem::path& directory);
  void read_config();
  void open_shards();
  void add(const SafetensorsFile& shard);
  void sort_tensors();
  void find_quantization();
  struct Quantization {
    std::string where;     // "config.json: key 'quantization'"
    std::string what;      // in the form of stated_quantization()
    bool is_read = false;  // by WeightLoader
    std::string name(const std::string& unknown = "another framework") const;
    std::string text() const;
  };
  std::optional<Quantization> stated_beside() const;  // in files other than config.json

  Purpose purpose_ = Purpose::compute;
  std::string path_;
  std::string architecture_;
  std::optional<GgufFile> gguf_;
  std::filesystem::path directory_;
  std::vector<SafetensorsFile> shards_;
  std::map<std::string, ConfigValue, std::less<>> config_;
  std::map<std::string, ConfigValue, std::less<>> assumed_;
  std::string config_path_;             // the file to name in errors about a key
  std::optional<Quantization> stated_;  // in config.json
  std::string unsupported_;
  std::string gguf_prefix_;                // general.architecture and a dot
  std::vector<CheckpointTensor> tensors_;  // sorted by name
};

// Returns the pointer. Throws Error where it is null.
std::shared_ptr<const Checkpoint> not_null(std::shared_ptr<const Checkpoint> checkpoint);

}  // namespace weft

// Writing GGUF files, version 3: metadata, then a table of tensors, then their data, streamed in that order.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/files/gguf.h"
#include "runtime/files/output_file.h"

namespace weft {

// Keys and values in the order in which they were first set.
class GgufMetadata {
 public:
  // The value's type is that of the argument; a key that exists already keeps its position and gets the new value.
  void set(std::string_view key, uint8_t value);
  void set(std::string_view key, int8_t value);
  void set(std::string_view key, uint16_t value);
  void set(std::string_view key, int16_t value);
  void set(std::string_view key, uint32_t value);
  void set(std::string_view key, int32_t value);
  void set(std::string_view key, uint64_t value);
  void set(std::string_view key, int64_t value);
  void set(std::string_view key, float value);
  void set(std::string_view key, double value);
  void set(std::string_view key, bool value);
  void set(std::string_view key, std::string_view value);
  void set(std::string_view key, const char* value) { set(key, std::string_view(value)); }
  void set(std::string_view key, std::span<const int32_t> values);
  void set(std::string_view key, std::span<const float> values);
  void set(std::string_view key, std::span<const std::string> values);
  void set(std::string_view key, const std::vector<bool>& values);
  // A value from another file, of any type.
  void set(std::string_view key, const GgufValue& value);

  void erase(std::string_view key);

  // Encoded as in a file: type, then value.
  const std::vector<std::pair<std::string, std::string>>& entries() const { return entries_; }

 private:
  void set_bytes(std::string_view key, std::string bytes);

  std::vector<std::pair<std::string, std::string>> entries_;
  // Keys may come from files: no hash, whose collisions they could provoke.
  std::map<std::string, size_t, std::less<>> index_;
};

// What the table says about a tensor; the data follow in the order of the table.
struct GgufTensorPlan {
  std::string name;
  std::vector<size_t> shape;  // GGUF's order: the row length first; 0 to 4 extents
  uint32_t type;              // ggml's type id
};

// The number of data bytes of a tensor. Throws Error, naming it, for an unknown type, a row that cuts a block, or
// a size beyond 64 bits.
size_t tensor_bytes(const GgufTensorPlan& tensor);

// One file, or a model split into several (gguf_split.h). finish() makes all of them appear; without it they are
// removed. Errors are those of OutputFile. Data are aligned to general.alignment, or else to 32 bytes. For one
// thread at a time.
class GgufWriter {
 public:
  // The file `path`. With `max_bytes`, parts of at most that many bytes each instead, whose names begin with
  // `path` less ".gguf"; a larger tensor is alone in its part, and larger metadata are alone in the first. Keys of
  // splitting in `metadata` are replaced. Throws Error for a path that cannot be written, for a general.alignment
  // that is not a u32 or not a power of two, and where too many parts would be needed.
  GgufWriter(const std::filesystem::path& path, GgufMetadata metadata, std::vector<GgufTensorPlan> tensors,
             std::optional<uint64_t> max_bytes = {});

  // The files that finish() creates or replaces, and the temporary names under which they are written until then
  // (none for what is written to directly).
  const std::vector<std::string>& paths() const { return paths_; }
  std::vector<std::string> temporaries() const;

  // Appends to the data of the first incomplete tensor; padding is added at its end. Throws Error for more data
  // than the table announces.
  void write(std::span<const uint8_t> data);
  // All is on the disk. Throws Error, naming the tensor, if data are missing.
  void complete();
  // Calls complete() unless that was done, then renames the files, which takes no time.
  void finish();

 private:
  struct Part {
    std::string head;  // up to and including the table
    uint64_t alignment;
    size_t end;  // index of the tensor after its last one
  };

  void plan_parts(const std::filesystem::path& path, const GgufMetadata& metadata, uint64_t max_bytes);
  void add_part(const GgufMetadata& metadata, size_t first, size_t end);
  OutputFile& file() { return *files_.back(); }
  void open_next();
  void advance();  // to the next tensor that has data
  void pad();

  std::vector<GgufTensorPlan> tensors_;
  std::vector<Part> parts_;
  std::vector<std::string> paths_;
  std::vector<std::unique_ptr<OutputFile>> files_;  // opened so far: all but the last are complete
  size_t current_ = 0;                              // tensor whose data is being written
  size_t remaining_ = 0;                            // bytes of it that are still missing
};

}  // namespace weft

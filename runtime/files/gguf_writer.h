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
  // The value's type is that of the argument; a key that is there already gets the new value at its old place.
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
  // A value of another file, of any type.
  void set(std::string_view key, const GgufValue& value);

  void erase(std::string_view key);

  // Encoded as in a file: type, then value.
  const std::vector<std::pair<std::string, std::string>>& entries() const { return entries_; }

 private:
  void set_bytes(std::string_view key, std::string bytes);

  std::vector<std::pair<std::string, std::string>> entries_;
  // Keys may come from files: no hash that they could make collide.
  std::map<std::string, size_t, std::less<>> index_;
};

// What the table says of a tensor; its data follows in the order of the table.
struct GgufTensorPlan {
  std::string name;
  std::vector<size_t> shape;  // GGUF's order: the row length first; 0 to 4 extents
  uint32_t type;              // ggml's type id
};

// Data bytes of a tensor. Throws Error, naming it, for a type that is unknown, a row that cuts a block, or a size
// beyond 64 bits.
size_t tensor_bytes(const GgufTensorPlan& tensor);

// One file, or a model split into several (gguf_split.h). They appear with finish(), all of them; gone without.
// Errors are those of OutputFile. Data is aligned to general.alignment, else to 32 bytes.
// For one thread at a time.
class GgufWriter {
 public:
  // The file `path`. With `max_bytes` parts instead, of at most so many bytes each, whose names begin with `path`
  // less ".gguf"; a tensor that takes more is alone in its part, and metadata that do are alone in the first. Keys
  // of splitting in `metadata` are replaced. Throws Error for a path that cannot be written, for a
  // general.alignment that is not a u32 or not a power of two, and where it takes more parts than there may be.
  GgufWriter(const std::filesystem::path& path, GgufMetadata metadata, std::vector<GgufTensorPlan> tensors,
             std::optional<uint64_t> max_bytes = {});

  // The files that finish() puts in their places, and the names under which they are written until then (none for
  // what is written to directly).
  const std::vector<std::string>& paths() const { return paths_; }
  std::vector<std::string> temporaries() const;

  // Appends to the data of the tensor that is not yet complete; padding is added at its end. Throws Error if that
  // is more than the table says.
  void write(std::span<const uint8_t> data);
  // All is on the disk. Throws Error, naming the tensor, if data is missing.
  void complete();
  // complete(), unless that was called, and puts the files in their places: takes no time.
  void finish();

 private:
  struct Part {
    std::string head;  // up to and with the table
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
  size_t current_ = 0;    // tensor whose data is being written
  size_t remaining_ = 0;  // bytes of it that are missing
};

}  // namespace weft

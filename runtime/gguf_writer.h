// Writing GGUF files, version 3: metadata, then a table of tensors, then their data, streamed in that order.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/gguf.h"
#include "runtime/output_file.h"

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
  std::vector<size_t> shape;  // GGUF's order: the row length first; 1 to 4 extents
  uint32_t type;              // ggml's type id
};

// Data bytes of a tensor. Throws Error, naming it, for a type that is unknown, a row that cuts a block, or a size
// beyond 64 bits.
size_t tensor_bytes(const GgufTensorPlan& tensor);

// Appears at `path` with finish(); gone without. Errors are those of OutputFile. Data is aligned to
// general.alignment, else to 32 bytes.
class GgufWriter {
 public:
  GgufWriter(const std::filesystem::path& path, const GgufMetadata& metadata, std::vector<GgufTensorPlan> tensors);

  // Appends to the data of the tensor that is not yet complete; padding is added at its end. Throws Error if that
  // is more than the table says.
  void write(std::span<const uint8_t> data);
  // Throws Error, naming the tensor, if data is missing.
  void finish();

  const OutputFile& file() const { return file_; }

 private:
  void advance();  // to the next tensor that has data
  void pad();

  OutputFile file_;
  std::vector<GgufTensorPlan> tensors_;
  uint64_t alignment_ = 32;
  size_t current_ = 0;    // tensor whose data is being written
  size_t remaining_ = 0;  // bytes of it that are missing
};

}  // namespace weft

// safetensors files: a JSON header with names, types, shapes and byte ranges, then the bytes.
//
// The file is mapped, not read: data are views into it, valid while the SafetensorsFile lives. The file is untrusted:
// `open` checks that the ranges cover the data exactly (no overlap, no gap), that shapes fit them, and that no name
// appears twice. Errors read "FILE: byte N: reason" or "FILE: byte N: tensor 'T': reason".
// Format: https://github.com/huggingface/safetensors (README, "Format")
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/format/format.h"
#include "runtime/files/mapped_file.h"

namespace weft {

struct SafetensorsTensor {
  std::string name;
  std::string_view type_name;    // "BF16", as the file has it
  std::optional<Format> format;  // nothing: a type that this build cannot compute with (I64, F8_E4M3 ...)
  std::vector<int64_t> extents;  // from slow to fast; empty for a scalar
  uint64_t offset = 0;           // of the data, from the start of the file: not aligned
  size_t bytes = 0;
  const uint8_t* data = nullptr;
};

// Immutable, so threads may share one.
class SafetensorsFile {
 public:
  static constexpr uint64_t kMaxHeader = 100'000'000;  // bytes, the limit of the format's own library

  // Maps and checks the file. Throws Error for a file that cannot be mapped or is malformed.
  static SafetensorsFile open(const std::filesystem::path& path);

  const std::string& path() const { return file_.path(); }
  const MappedFile& file() const { return file_; }
  // The free-form texts of "__metadata__".
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  // In the order of the data.
  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }
  const SafetensorsTensor* find_tensor(std::string_view name) const;  // null if absent

 private:
  explicit SafetensorsFile(MappedFile file);

  MappedFile file_;
  std::map<std::string, std::string> metadata_;
  std::vector<SafetensorsTensor> tensors_;
  std::vector<uint32_t> by_name_;  // indices, sorted
};

}  // namespace weft

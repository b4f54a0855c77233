// GGUF model files, versions 2 and 3 (little-endian): typed metadata and a table of tensors.
//
// A model may be split into several files (gguf_split.h). They form one GgufFile, with the metadata of the first
// and the tensors of all, whichever of them is named.
//
// The file is mapped, not read: strings, arrays and tensor data are views into it, valid while the GgufFile
// lives (a move keeps them valid). The file is untrusted; `open` checks every count, length, offset and
// extent, in time and memory proportional to the header. Errors read "FILE: byte N: key 'K': reason" or
// "FILE: byte N: tensor 'T': reason".
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/format/format.h"
#include "runtime/files/mapped_file.h"

namespace weft {

enum class GgufType : uint32_t {
  uint8,
  int8,
  uint16,
  int16,
  uint32,
  int32,
  float32,
  bool8,
  string,
  array,
  uint64,
  int64,
  float64
};
inline constexpr uint32_t kGgufTypeCount = 13;

std::string_view name(GgufType type);  // "u8", "string", "array"

// One metadata value: a checked view of its bytes in the file.
class GgufValue {
 public:
  GgufValue(GgufType type, GgufType element_type, uint64_t count, uint64_t offset, std::span<const uint8_t> payload)
      : type_(type), element_type_(element_type), count_(count), offset_(offset), payload_(payload) {}

  GgufType type() const { return type_; }
  GgufType element_type() const { return element_type_; }  // of an array; else type()
  uint64_t count() const { return count_; }                // elements of an array; else 1
  uint64_t offset() const { return offset_; }              // where the value starts in the file, in bytes
  std::string type_name() const;                           // "u32", "array of string"

  // Its bytes in the file: a scalar's bytes, a string's characters, or the elements of an array one after another.
  std::span<const uint8_t> payload() const { return payload_; }

  // The value if it is of that kind and fits, else nothing. Integers convert between widths and signs, f32 widens
  // to f64; bool, integer and float never mix.
  std::optional<uint64_t> as_u64() const;
  std::optional<int64_t> as_i64() const;
  std::optional<double> as_f64() const;
  std::optional<bool> as_bool() const;
  std::optional<std::string_view> as_string() const;

  // The first `limit` elements of an array (nothing for other types). Takes time linear in the number of bytes
  // before the last of them.
  std::vector<GgufValue> elements(size_t limit = std::numeric_limits<size_t>::max()) const;

 private:
  friend class GgufFile;

  // Calls visit(const GgufValue&) for the first `limit` elements; defined and used in gguf.cc only.
  template <class Visit>
  void visit_elements(uint64_t limit, Visit visit) const;

  GgufType type_;
  GgufType element_type_;
  uint64_t count_;
  uint64_t offset_;
  std::span<const uint8_t> payload_;
};

struct GgufEntry {
  std::string_view key;
  GgufValue value;
};

inline constexpr size_t kGgufMaxDims = 4;

struct GgufTensor {
  std::string_view name;
  std::array<size_t, kGgufMaxDims> extents;  // 1 from n_dims on
  uint32_t n_dims;                           // 0..4; of 0 dimensions: one element
  uint32_t type;                             // ggml's type id
  std::string_view type_name;                // "F32", "Q6_K"
  uint64_t offset;                           // of the data, from the start of the file
  size_t bytes;                              // of the data; 0 if an extent is 0
  const uint8_t* data;                       // aligned to 8 bytes or more
  const MappedFile* file;                    // the file that holds the data

  // GGUF's order: shape()[0] is the row length, the axis that is contiguous in memory.
  std::span<const size_t> shape() const { return {extents.data(), n_dims}; }
  size_t elements() const;
};

// One of the files that make up the model.
struct GgufPart {
  std::shared_ptr<const MappedFile> file;
  size_t tensors;
};

// Immutable, so threads may share one.
class GgufFile {
 public:
  // Maps and checks the file and, if it is part of a split model, the other parts beside it. Throws Error for a
  // file that cannot be mapped, is malformed or is missing, and for parts that do not belong together.
  static GgufFile open(const std::filesystem::path& path);

  // In order; one for a model that is not split.
  const std::vector<GgufPart>& parts() const { return parts_; }
  uint64_t bytes() const;  // of all parts

  // Of the first part.
  const std::string& path() const { return file().path(); }
  const MappedFile& file() const { return *parts_.front().file; }
  uint32_t version() const { return version_; }
  uint32_t alignment() const { return alignment_; }      // of tensor data, in bytes
  uint64_t data_offset() const { return data_offset_; }  // where tensor data begins

  // Metadata of the first part, in the file's order.
  const std::vector<GgufEntry>& metadata() const { return metadata_; }
  const GgufValue* find(std::string_view key) const;  // null if absent

  // Typed lookups. Without a default, an absent key is an error; a key of another type, or a value that does not
  // fit, is always an error. Integer lookups accept every integer type (get_u32 also whole floats), float lookups
  // f32 and f64.
  uint32_t get_u32(std::string_view key) const;
  uint32_t get_u32(std::string_view key, uint32_t fallback) const;
  float get_f32(std::string_view key) const;
  float get_f32(std::string_view key, float fallback) const;
  bool get_bool(std::string_view key) const;
  bool get_bool(std::string_view key, bool fallback) const;
  std::string_view get_string(std::string_view key) const;
  std::string_view get_string(std::string_view key, std::string_view fallback) const;
  std::vector<std::string_view> get_string_array(std::string_view key) const;
  std::vector<std::string_view> get_string_array(std::string_view key, std::vector<std::string_view> fallback) const;
  std::vector<float> get_f32_array(std::string_view key) const;
  std::vector<float> get_f32_array(std::string_view key, std::vector<float> fallback) const;
  std::vector<int32_t> get_i32_array(std::string_view key) const;
  std::vector<int32_t> get_i32_array(std::string_view key, std::vector<int32_t> fallback) const;

  // "FILE: byte N: key 'K': reason", for callers that reject a value.
  [[noreturn]] void fail(std::string_view key, std::string_view reason) const;

  // Tensors in the file's order, part after part.
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* find_tensor(std::string_view name) const;  // null if absent
  const GgufTensor& tensor(std::string_view name) const;       // throws Error if absent

  // The storage format of one of this file's tensors. Throws Error, naming file, tensor and type, for a type
  // that ggml knows and this build does not read.
  Format format(const GgufTensor& tensor) const;

 private:
  explicit GgufFile(const std::filesystem::path& path);  // this file alone

  const GgufValue& require(std::string_view key) const;
  [[noreturn]] void fail_tensor(size_t i, const std::string& reason) const;
  void index_tensors();
  void place_tensors(uint64_t header_bytes);
  void check_overlaps() const;
  std::filesystem::path split_prefix(uint32_t no, uint32_t count) const;
  void check_part(const GgufFile& first, uint32_t count, uint32_t no) const;
  void append(GgufFile part);

  std::vector<GgufPart> parts_;
  uint32_t version_ = 0;
  uint32_t alignment_ = 32;
  uint64_t data_offset_ = 0;
  std::vector<GgufEntry> metadata_;
  std::vector<GgufTensor> tensors_;
  std::vector<uint64_t> offset_fields_;    // where each tensor's entry has its offset, for messages
  std::vector<uint32_t> metadata_by_key_;  // indices, sorted: no hash that a file could make collide
  std::vector<uint32_t> tensors_by_name_;
};

}  // namespace weft

// Traces as files: safetensors, which Python reads in one line.
//
// A recording holds the ids of the prompt as the I32 tensor "tokens", and each traced value under its name, in the
// order of the steps. Its metadata state the "model", "device" and "precision" that it was made with, for each
// value its axes ("axes:blk.0.q" = "pos x kv_head x group x head_dim") and, where an axis holds rotary pairs,
// which axis and in what order ("pairs:blk.0.q" = "head_dim interleaved 64"; see PairOrder). Recordings made
// elsewhere need only names that a map knows (runtime/trace/trace_map.h).
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/files/safetensors.h"
#include "runtime/files/safetensors_writer.h"
#include "runtime/trace/trace.h"

namespace weft {

// Writes a trace, each piece as it arrives. For one thread at a time.
class RecordingWriter final : public TraceSink {
 public:
  RecordingWriter(std::filesystem::path path, std::map<std::string, std::string> metadata)
      : path_(std::move(path)), metadata_(std::move(metadata)) {}

  void begin(const std::vector<TracedValue>& values, std::span<const int32_t> tokens) override;
  void take(size_t value, int64_t first, int64_t count, std::span<const std::byte> data) override;
  void finish();

 private:
  std::filesystem::path path_;
  std::map<std::string, std::string> metadata_;
  std::vector<TracedValue> values_;
  std::unique_ptr<SafetensorsWriter> writer_;
};

// Immutable, so threads may share one.
class Recording {
 public:
  // Throws Error for a file that is not a safetensors file.
  static Recording open(const std::filesystem::path& path) { return Recording(SafetensorsFile::open(path)); }

  const std::string& path() const { return file_.path(); }
  const SafetensorsFile& file() const { return file_; }
  // The value of a metadata key; empty if absent.
  std::string text(const std::string& key) const;

  // The prompt; empty if absent. Throws Error where "tokens" is not a list of ids.
  std::vector<int32_t> tokens() const;

  // From the metadata; empty if they do not state it, or not in the form that this program writes.
  std::vector<std::string> axes(const std::string& name) const;
  struct Pairs {
    std::string axis;  // empty if there are none
    RopePairs order = RopePairs::half_split;
  };
  Pairs pairs(const std::string& name) const;

 private:
  explicit Recording(SafetensorsFile file) : file_(std::move(file)) {}

  SafetensorsFile file_;
};

// Whether elements of this type can be read (F64, F32, F16, BF16, I64, I32, BOOL).
bool is_readable(const SafetensorsTensor& tensor);
// Element `index` in storage order, of a tensor that is readable and has it.
double read_number(const SafetensorsTensor& tensor, int64_t index);

}  // namespace weft

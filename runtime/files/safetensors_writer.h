// Writes safetensors files: the header first, then the bytes of the tensors, in any order and in pieces of any
// size. So the memory needed is one piece at a time.
//
//   SafetensorsWriter writer("out.safetensors", {{"x", Format::f32, {2, 3}}}, {{"made_by", "..."}});
//   writer.write(0, 0, std::as_bytes(std::span(x)));
//   writer.finish();
//
// The file appears when it is complete; see OutputFile, whose errors pass through.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/format/format.h"
#include "runtime/files/output_file.h"

namespace weft {

// For one thread at a time.
class SafetensorsWriter {
 public:
  struct Tensor {
    std::string name;
    Format format = Format::f32;  // f32, f16, bf16, i32 or bool8
    std::vector<int64_t> extents = {};
  };

  // The data are in the file in the order of `tensors`. Throws Error for repeated names, formats that safetensors
  // lacks, extents that overflow, and a file that cannot be created.
  SafetensorsWriter(const std::filesystem::path& path, std::vector<Tensor> tensors,
                    const std::map<std::string, std::string>& metadata = {});

  const std::vector<Tensor>& tensors() const { return tensors_; }

  // Writes bytes of a tensor from `offset` on. Throws Error where they do not fit the tensor or cannot be written.
  void write(size_t tensor, uint64_t offset, std::span<const std::byte> bytes);

  // Throws Error unless every tensor has been written completely.
  void finish();

 private:
  std::string path_;
  std::optional<OutputFile> file_;  // opened once the header is known to be valid
  std::vector<Tensor> tensors_;
  std::vector<uint64_t> begin_;    // by tensor, in the file; one more for the end
  std::vector<uint64_t> missing_;  // by tensor: bytes still to be written
};

}  // namespace weft

// A file of packed weights, to be mapped.
//
//   header      a magic number, the version of this form, the sizes of the parts, a checksum of all but the weights
//   source      text: what the weights were made of
//   forms       text: a line for each weight
//   checksums   of each weight's bytes, 64 bits each
//   weights     one after the other, each on a page of its own
//
// Nothing in it is trusted or decoded: whoever opens it says what it must hold, and it holds exactly that or is
// refused.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/files/mapped_file.h"

namespace weft {

struct PackedFileContent {
  struct Weight {
    std::string name;
    std::string form;  // format, layout, shape
    size_t bytes = 0;  // packed
  };
  std::string source;
  std::vector<Weight> weights;
};

// Immutable, so threads may share one.
class PackedFile {
 public:
  // Maps the file and reads all of it, by `threads` threads, to compare checksums: that takes about what one token
  // does, for which all weights are read too, and brings them into memory. Throws Error "PATH: why", where it cannot be
  // mapped, is damaged, is of another version, or holds anything else.
  static std::shared_ptr<const PackedFile> open(const std::filesystem::path& path, const PackedFileContent& content,
                                                int threads);
  std::span<const std::byte> weight(size_t i) const { return weights_[i]; }

 private:
  explicit PackedFile(MappedFile file) : file_(std::move(file)) {}
  MappedFile file_;
  std::vector<std::span<const std::byte>> weights_;
};

// Replaces the file, once the new one is complete and on the disk. `weights`: the bytes of content.weights. Throws
// Error "PATH: what: reason of the system".
void write_packed_file(const std::filesystem::path& path, const PackedFileContent& content,
                       std::span<const std::span<const std::byte>> weights, int threads);

}  // namespace weft

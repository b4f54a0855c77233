// Where weights come from, for what is made of weights and outlasts the process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weft {

struct SourceFile {
  std::string path;
  uint64_t bytes = 0;
  int64_t changed = 0;   // when its content last was: nanoseconds since 1970, by the file system
  uint64_t content = 0;  // checksum of what describes its tensors, and of samples of their data
};

// The files of a model. Threads may share one.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // At least one, always in the same order, as they were when they were opened. Reads their headers and samples.
  virtual std::vector<SourceFile> files() const = 0;
};

}  // namespace weft

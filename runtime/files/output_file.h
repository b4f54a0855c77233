// A file that appears when it is complete: written under a temporary name beside its own, and renamed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "core/error.h"

namespace weft {

// The reader of the pipe has gone (`weft ... | head`), which is not a failure of the program.
class BrokenPipe : public Error {
 public:
  using Error::Error;
};

// The previous file stays until finish(), so a run that fails, or that reads the file which it replaces, loses
// nothing. An existing target that is not a regular file (a pipe, /dev/null) is written to directly. Every call
// throws Error "PATH: what: reason of the system", or BrokenPipe. For one thread at a time.
class OutputFile {
 public:
  explicit OutputFile(const std::filesystem::path& path);
  ~OutputFile();  // removes an unfinished file

  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* bytes, size_t count);  // appends to what was written
  void write_at(uint64_t offset, const void* bytes, size_t count);
  uint64_t written() const { return written_; }  // bytes written by write()
  // Waits until the bytes are on the disk; nothing can be written after that.
  void complete();
  // Calls complete() unless that was done, then gives the file its name.
  void finish();

  const std::string& path() const { return path_; }
  // The name under which it is written; empty where that is its final name.
  const std::string& temporary() const { return temporary_; }
  // What temporary() would be for this path at present.
  static std::string temporary_name(const std::filesystem::path& path);

 private:
  [[noreturn]] void fail(const char* what) const;

  std::string path_, target_, temporary_;
  int file_ = -1;  // -1: complete
  uint64_t written_ = 0;
};

}  // namespace weft

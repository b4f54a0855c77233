// A file that appears when it is complete: written under another name beside its own, and renamed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "core/error.h"

namespace weft {

// Nobody reads the pipe that was written to (`weft ... | head`): no failure of the program's.
class BrokenPipe : public Error {
 public:
  using Error::Error;
};

// What was there before stays until finish(), so a run that fails, or that reads the file which it replaces, loses
// nothing. An existing target that is no regular file (a pipe, /dev/null) is written to directly. Every call
// throws Error "PATH: what: reason of the system", or BrokenPipe. For one thread at a time.
class OutputFile {
 public:
  explicit OutputFile(const std::filesystem::path& path);
  ~OutputFile();  // removes what is not finished

  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* bytes, size_t count);  // behind what was written so
  void write_at(uint64_t offset, const void* bytes, size_t count);
  uint64_t written() const { return written_; }  // bytes by write()
  // Waits until the bytes are on the disk; nothing can be written from then on.
  void complete();
  // complete(), unless that was called, and gives the file its name.
  void finish();

  const std::string& path() const { return path_; }
  // The name under which it is written; empty where that is its own.
  const std::string& temporary() const { return temporary_; }
  // What temporary() will be for this path, as things are now.
  static std::string temporary_name(const std::filesystem::path& path);

 private:
  [[noreturn]] void fail(const char* what) const;

  std::string path_, target_, temporary_;
  int file_ = -1;  // -1: complete
  uint64_t written_ = 0;
};

}  // namespace weft

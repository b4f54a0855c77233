// A file mapped read-only into memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

namespace weft {

// Maps a whole regular file; unmaps it when destroyed. The address of the bytes survives a move. The bytes are
// whatever the file holds when they are read: a file that shrinks while it is mapped faults (SIGBUS). Threads may
// share one.
class MappedFile {
 public:
  // Throws Error, naming the file and the system's reason, if it cannot be opened, is not a regular file, or
  // cannot be mapped. An empty file is an empty span.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  // When the content of the file last was changed, as the map was made: nanoseconds since 1970, by the file system.
  int64_t changed() const { return changed_; }
  std::span<const uint8_t> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

  // Tells the system that the whole pages inside [offset, offset + length) are not needed for now: they leave this
  // process's memory and are read from the file again when touched. The range is clipped to the file.
  void drop(size_t offset, size_t length) const;

 private:
  void unmap() noexcept;

  std::string path_;
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
  int64_t changed_ = 0;
};

// Also false where that cannot be found out.
inline bool is_there(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

}  // namespace weft

// Files and folders that are removed at the end.
#pragma once

#include <filesystem>
#include <string>
#include <utility>

namespace weft::tools {

// A new path in the system's folder for temporary files; whatever is there at the end is removed.
class TemporaryPath {
 public:
  // An empty folder, or the name of a file that is not there yet, such as PREFIX1a2B3cSUFFIX. Throw Error where there
  // can be none.
  static TemporaryPath folder(const std::string& prefix);
  static TemporaryPath file(const std::string& prefix, const std::string& suffix);
  ~TemporaryPath();
  TemporaryPath(TemporaryPath&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryPath& operator=(TemporaryPath&&) = delete;

  const std::filesystem::path& path() const { return path_; }  // empty once moved from

 private:
  explicit TemporaryPath(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path path_;
};

}  // namespace weft::tools

// C++ that a command builds when it runs: kernels of one's own, and peers that are headers alone.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace weft::tools {

// A new folder, which is removed with this. Throws Error where there can be none.
class BuildFolder {
 public:
  BuildFolder();
  ~BuildFolder();
  BuildFolder(const BuildFolder&) = delete;
  BuildFolder& operator=(const BuildFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Builds one source file as a shared object in the folder, where it also looks for headers, for this machine: by $CXX
// (default: c++), with `flags` and then $CXXFLAGS behind Weft's own. Returns its path. The compiler's messages go to
// stderr. Throws Error "WHAT cannot be built: ..." where it fails.
std::string build_shared_object(const BuildFolder& folder, const std::filesystem::path& source, const std::string& what,
                                const std::vector<std::string>& flags);

}  // namespace weft::tools

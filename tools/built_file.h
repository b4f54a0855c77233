// C++ that a command builds when it runs: kernels of one's own, and peers that are headers alone.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace weft::tools {

// Builds one source file as a shared object in the folder, where it also looks for headers, for this machine: by $CXX
// (default: c++), with `flags` and then $CXXFLAGS behind Weft's own. Returns its path. The compiler's messages go to
// stderr. Throws Error "WHAT cannot be built: ..." where it fails.
std::string build_shared_object(const std::filesystem::path& folder, const std::filesystem::path& source,
                                const std::string& what, const std::vector<std::string>& flags);

}  // namespace weft::tools

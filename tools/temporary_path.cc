#include "tools/temporary_path.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "core/error.h"

namespace weft::tools {

namespace {

std::string pattern(const std::string& prefix, const std::string& suffix) {
  return (std::filesystem::temp_directory_path() / (prefix + "XXXXXX" + suffix)).string();
}

}  // namespace

TemporaryPath TemporaryPath::folder(const std::string& prefix) {
  std::string name = pattern(prefix, "");
  if (::mkdtemp(name.data()) == nullptr) throw Error("cannot make a folder '" + name + "': " + std::strerror(errno));
  return TemporaryPath(name);
}

TemporaryPath TemporaryPath::file(const std::string& prefix, const std::string& suffix) {
  std::string name = pattern(prefix, suffix);
  const int file = ::mkstemps(name.data(), static_cast<int>(suffix.size()));
  if (file < 0) throw Error("cannot make a file '" + name + "': " + std::strerror(errno));
  ::close(file);
  ::unlink(name.c_str());  // whoever writes it makes it, once it is complete
  return TemporaryPath(name);
}

TemporaryPath::~TemporaryPath() {
  if (path_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace weft::tools

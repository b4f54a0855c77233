#include "tools/built_file.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "core/error.h"

extern char** environ;

namespace weft::tools {

namespace {

std::vector<std::string> words_of_variable(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  std::istringstream in(value == nullptr || *value == '\0' ? otherwise : value);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

void run_compiler(const std::string& what, std::vector<std::string> command) {
  std::vector<char*> arguments;
  for (std::string& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t process = 0;
  const int error = ::posix_spawnp(&process, arguments[0], nullptr, nullptr, arguments.data(), environ);
  if (error != 0) {
    throw Error(what + " cannot be built: '" + command[0] + "': " + std::strerror(error) +
                "; CXX names another compiler");
  }
  int status = 0;
  while (::waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw Error(what + " cannot be built: '" + command[0] + "' failed");
  }
}

}  // namespace

std::string build_shared_object(const std::filesystem::path& folder, const std::filesystem::path& source,
                                const std::string& what, const std::vector<std::string>& flags) {
  std::string built = (folder / source.stem()).string() + ".so";
  std::vector<std::string> command = words_of_variable("CXX", "c++");
  for (const char* flag : {"-std=c++20", "-O3", "-march=native", "-fPIC", "-shared"}) command.emplace_back(flag);
  command.push_back("-I" + folder.string());
  command.insert(command.end(), flags.begin(), flags.end());
  for (std::string& flag : words_of_variable("CXXFLAGS", "")) command.push_back(std::move(flag));
  for (const std::string& word : {source.string(), std::string("-o"), built}) command.push_back(word);
  run_compiler(what, std::move(command));
  return built;
}

}  // namespace weft::tools

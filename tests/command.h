// Running the `weft` command from tests.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/error.h"
#include "tests/test_data.h"

namespace weft::test {

inline std::filesystem::path weft_binary() { return std::filesystem::path(WEFT_BINARY_DIR) / "bin" / "weft"; }

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "weft-cli-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw Error("cannot make a temporary folder");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

struct CommandResult {
  int code = -1;  // 128 + n where signal n ended it
  std::string out, err;
};

// Runs `weft ARGUMENTS`. `stdout_to`: a file instead of a capture.
inline CommandResult run_weft(const std::vector<std::string>& arguments, const std::string& input = "",
                              const std::string& stdout_to = "") {
  static const TemporaryFolder folder;
  const std::filesystem::path in = folder / "in", out = folder / "out", err = folder / "err";
  std::ofstream(in, std::ios::binary) << input;
  std::vector<std::string> all = {weft_binary().string()};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : all) argv.push_back(argument.data());
  argv.push_back(nullptr);
  constexpr int kWrite = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, in.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, stdout_to.empty() ? out.c_str() : stdout_to.c_str(), kWrite,
                                   0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), kWrite, 0600);
  // Not by fork(): after it, libomp gives the child the CPUs that this process had when it first ran a team.
  pid_t child = 0;
  const int failed = posix_spawn(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw Error("cannot start " + all.front());
  int status = 0;
  waitpid(child, &status, 0);
  CommandResult result;
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (stdout_to.empty()) result.out = read_file(out);
  result.err = read_file(err);
  return result;
}

}  // namespace weft::test

#include "tools/child_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"
#include "tools/output.h"

namespace weft::tools {

std::string output_of(const std::filesystem::path& program, const std::vector<std::string>& arguments) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw Error(program.string() + ": " + std::strerror(errno));
  std::vector<std::string> all = {program.string()};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : all) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  pid_t child = 0;
  // Not by fork(): after it, libomp gives the child the CPUs that this process had when it first ran a team.
  const int failed = ::posix_spawn(&child, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  if (failed != 0) {
    ::close(ends[0]);
    throw Error(program.string() + " cannot be started: " + std::strerror(failed));
  }
  std::string text;
  char part[4096];
  ssize_t count = 0;
  while ((count = ::read(ends[0], part, sizeof part)) > 0 || (count < 0 && errno == EINTR)) {
    if (count > 0) text.append(part, static_cast<size_t>(count));
  }
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) throw Error(format("%s was ended by signal %d", program.c_str(), WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0) throw Error(format("%s ended with exit code %d", program.c_str(), WEXITSTATUS(status)));
  return text;
}

}  // namespace weft::tools

#include "tools/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "tools/output.h"

namespace weft::tools {

namespace {

constexpr int kClosed = -1;

void close_end(int& end) {
  if (end != kClosed) ::close(end);
  end = kClosed;
}

}  // namespace

ChildProcess::ChildProcess(const std::filesystem::path& program, const std::vector<std::string>& arguments)
    : name_(program.string()) {
  int to[2] = {kClosed, kClosed}, from[2] = {kClosed, kClosed};
  if (::pipe2(to, O_CLOEXEC) != 0 || ::pipe2(from, O_CLOEXEC) != 0) {
    const int error = errno;
    for (int* end : {&to[0], &to[1]}) close_end(*end);
    throw Error(name_ + ": " + std::strerror(error));
  }
  std::vector<std::string> all = {name_};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : all) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
  // Not by fork(): after it, libomp gives the child the CPUs that this process had when it first ran a team.
  const int failed = ::posix_spawn(&child_, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  close_end(to[0]), close_end(from[1]);
  in_ = to[1], out_ = from[0];
  if (failed == 0) return;
  child_ = -1;
  close_end(in_), close_end(out_);
  throw Error(name_ + " cannot be started: " + std::strerror(failed));
}

ChildProcess::~ChildProcess() {
  close_end(in_), close_end(out_);
  if (child_ == -1) return;
  ::kill(child_, SIGTERM);
  while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void ChildProcess::write_line(const std::string& line) {
  const std::string text = line + "\n";
  for (size_t done = 0; done < text.size();) {
    const ssize_t count = ::write(in_, text.data() + done, text.size() - done);
    if (count > 0) done += static_cast<size_t>(count);
    else if (errno != EINTR) return;  // it has ended, which reading its answer tells
  }
}

std::string ChildProcess::read_line() {
  size_t end;
  while ((end = read_.find('\n')) == read_.npos) {
    char part[4096];
    const ssize_t count = ::read(out_, part, sizeof part);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      finish();  // throws where it did not end well
      throw Error(name_ + " has ended before it answered");
    }
    read_.append(part, static_cast<size_t>(count));
  }
  std::string line = read_.substr(0, end);
  read_.erase(0, end + 1);
  return line;
}

std::string ChildProcess::finish() {
  close_end(in_);
  char part[4096];
  ssize_t count = 0;
  while ((count = ::read(out_, part, sizeof part)) > 0 || (count < 0 && errno == EINTR)) {
    if (count > 0) read_.append(part, static_cast<size_t>(count));
  }
  close_end(out_);
  int status = 0;
  while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) {
  }
  child_ = -1;
  if (WIFSIGNALED(status)) throw Error(format("%s was ended by signal %d", name_.c_str(), WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0) throw Error(format("%s ended with exit code %d", name_.c_str(), WEXITSTATUS(status)));
  return std::move(read_);
}

std::string output_of(const std::filesystem::path& program, const std::vector<std::string>& arguments) {
  return ChildProcess(program, arguments).finish();
}

}  // namespace weft::tools

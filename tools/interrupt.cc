#include "tools/interrupt.h"

#include <unistd.h>

#include <array>
#include <climits>
#include <csignal>
#include <cstring>

namespace weft::tools {

namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};

char file_to_remove[PATH_MAX];
std::array<struct sigaction, kSignals.size()> before;

// Only what POSIX allows in a handler.
void remove_and_end(int signal) {
  ::unlink(file_to_remove);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

RemoveOnSignal::RemoveOnSignal(const std::string& file) {
  // A path that no system call could take was not opened either.
  if (file.size() >= sizeof file_to_remove) return;
  std::memcpy(file_to_remove, file.c_str(), file.size() + 1);
  for (size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &before[i]);
    if (before[i].sa_handler == SIG_IGN) continue;  // as nohup wants it
    struct sigaction action{};
    action.sa_handler = remove_and_end;
    sigemptyset(&action.sa_mask);
    sigaction(kSignals[i], &action, nullptr);
  }
}

RemoveOnSignal::~RemoveOnSignal() {
  for (size_t i = 0; i < kSignals.size(); ++i) {
    struct sigaction now{};
    sigaction(kSignals[i], nullptr, &now);
    if (now.sa_handler == remove_and_end) sigaction(kSignals[i], &before[i], nullptr);
  }
  file_to_remove[0] = '\0';
}

}  // namespace weft::tools

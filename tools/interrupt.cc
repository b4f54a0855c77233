#include "tools/interrupt.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <utility>

namespace weft::tools {

namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};

std::atomic<const char* const*> files_to_remove = nullptr;
std::atomic<bool> holding = false;
std::atomic<int> held = 0;  // the signal that is waiting
static_assert(decltype(files_to_remove)::is_always_lock_free && decltype(held)::is_always_lock_free,
              "what a handler may use");
std::array<struct sigaction, kSignals.size()> before;

// Uses only what POSIX allows in a handler.
void remove_and_end(int signal) {
  if (holding) {
    held = signal;
    return;
  }
  if (const char* const* file = files_to_remove) {
    for (; *file != nullptr; ++file) ::unlink(*file);
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

RemoveOnSignal::RemoveOnSignal(std::vector<std::string> files) : files_(std::move(files)) {
  for (const std::string& file : files_) names_.push_back(file.c_str());
  names_.push_back(nullptr);
  files_to_remove = names_.data();
  for (size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &before[i]);
    if (before[i].sa_handler == SIG_IGN) continue;  // as nohup requests
    struct sigaction action{};
    action.sa_handler = remove_and_end;
    sigemptyset(&action.sa_mask);
    sigaction(kSignals[i], &action, nullptr);
  }
}

void RemoveOnSignal::hold() { holding = true; }

RemoveOnSignal::~RemoveOnSignal() {
  for (size_t i = 0; i < kSignals.size(); ++i) {
    struct sigaction now{};
    sigaction(kSignals[i], nullptr, &now);
    if (now.sa_handler == remove_and_end) sigaction(kSignals[i], &before[i], nullptr);
  }
  files_to_remove = nullptr;
  holding = false;
  if (const int signal = held.exchange(0); signal != 0) std::raise(signal);
}

}  // namespace weft::tools

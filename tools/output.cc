#include "tools/output.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "core/error.h"
#include "runtime/files/output_file.h"

namespace weft::tools {

void write_text(int file, std::string_view text, const std::string& name) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EPIPE) throw BrokenPipe(name + ": the reader has gone");
    if (written < 0) throw Error("cannot write to " + name + ": " + std::strerror(errno));
    text.remove_prefix(static_cast<size_t>(written));
  }
}

void print(std::string_view text) { write_text(STDOUT_FILENO, text, "standard output"); }

Progress::Progress() : terminal_(::isatty(STDERR_FILENO) == 1), begin_(Clock::now()), last_(begin_) {}

void Progress::show(const std::string& line) {
  if (!terminal_) return;
  const auto now = Clock::now();
  if (now - begin_ < std::chrono::seconds(1) || (shown_ && now - last_ < std::chrono::milliseconds(100))) return;
  last_ = now;
  shown_ = true;
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  std::fflush(stderr);
}

void Progress::clear() {
  if (!shown_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  shown_ = false;
}

std::string progress_bar(double part) {
  constexpr size_t kWidth = 24;
  const auto full = std::min(static_cast<size_t>(part * kWidth), kWidth);
  return "[" + std::string(full, '#') + std::string(kWidth - full, '.') + "]" + format(" %3.0f %%", 100 * part);
}

Waiting::Waiting(std::string what) {
  if (::isatty(STDERR_FILENO) != 1) return;
  watcher_ = std::thread([this, text = std::move(what)] {
    std::unique_lock lock(mutex_);
    if (done_.wait_for(lock, std::chrono::seconds(1), [this] { return over_; })) return;
    for (int seconds = 1; !over_; ++seconds) {
      std::fprintf(stderr, "\r\033[K%s: %d s", text.c_str(), seconds);
      std::fflush(stderr);
      done_.wait_for(lock, std::chrono::seconds(1), [this] { return over_; });
    }
    std::fputs("\r\033[K", stderr);
    std::fflush(stderr);
  });
}

Waiting::~Waiting() {
  if (!watcher_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  done_.notify_all();
  watcher_.join();
}

size_t peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;  // Linux counts kilobytes
}

std::string format(const char* pattern, ...) {
  va_list arguments, again;
  va_start(arguments, pattern);
  va_copy(again, arguments);
  const int length = std::vsnprintf(nullptr, 0, pattern, arguments);
  va_end(arguments);
  std::string text(static_cast<size_t>(std::max(length, 0)), '\0');
  std::vsnprintf(text.data(), text.size() + 1, pattern, again);
  va_end(again);
  return text;
}

}  // namespace weft::tools

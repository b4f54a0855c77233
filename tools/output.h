// Output that notices when nobody reads it, and what is shown while something takes long.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace weft::tools {

// Standard output, unbuffered towards the reader. Throws Error if it is closed or full, BrokenPipe if its reader
// has gone.
void print(std::string_view text);
// The same for an open file; `name` is for messages: "standard error".
void write_text(int file, std::string_view text, const std::string& name);

// A line on stderr that is replaced in place: only on a terminal, and only once a second has passed.
class Progress {
 public:
  Progress();
  ~Progress() { clear(); }
  void show(const std::string& line);
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  bool terminal_;
  bool shown_ = false;
  Clock::time_point begin_, last_;
};

// "[######......]  50 %"
std::string progress_bar(double part);

// The same for one long call: what is waited for, and the seconds, until destruction.
class Waiting {
 public:
  explicit Waiting(std::string what);
  ~Waiting();
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable done_;
  bool over_ = false;
  std::thread watcher_;
};

// Calls `work`, showing what is waited for if it takes long.
template <class F>
auto waiting_for(const char* what, F work) {
  const Waiting waiting(what);
  return work();
}

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

size_t peak_memory();  // the most bytes of this process that have been resident

std::string format(const char* pattern, ...) __attribute__((format(printf, 1, 2)));

}  // namespace weft::tools

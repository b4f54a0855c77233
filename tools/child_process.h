// Running another program for what it prints.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace weft::tools {

// What the program writes to standard output; its errors go where ours go. Throws Error where it cannot be started, or
// unless it ends with 0.
std::string output_of(const std::filesystem::path& program, const std::vector<std::string>& arguments);

// A program that is asked and answers in lines.
class ChildProcess {
 public:
  // Throws Error where it cannot be started.
  ChildProcess(const std::filesystem::path& program, const std::vector<std::string>& arguments);
  ~ChildProcess();  // ends it, if it still runs
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  void write_line(const std::string& line);
  // The next line of its output, without the end. Throws Error where it has ended: with what.
  std::string read_line();
  // Ends its input. Returns the rest of its output, as output_of does.
  std::string finish();

 private:
  std::string name_;
  int child_ = -1;          // -1: it has ended
  int in_ = -1, out_ = -1;  // its input and output; -1: closed
  std::string read_;        // and not yet returned
};

}  // namespace weft::tools

// Lines typed on a terminal.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace weft::tools {

// Editing with arrow keys, history, and pasted text that may have several lines (libedit). While no line is being
// read, the terminal has its original settings, even if a signal ends or stops the program meanwhile.
class LineEditor {
 public:
  // Whether standard input and output are a terminal that an editor can use (according to $TERM).
  static bool usable();

  LineEditor();
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class End { line, interrupt, end_of_input };
  struct Line {
    End end = End::line;
    std::string text;  // UTF-8, without the final newline; after an interrupt, what had been typed
  };
  // Waits for a line. SIGINT (Ctrl-C) ends the wait.
  Line read(const std::string& prompt);

  // Adds what the arrow keys recall.
  void remember(std::string_view text);

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace weft::tools

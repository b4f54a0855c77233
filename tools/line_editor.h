// Lines typed on a terminal.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace weft::tools {

// Editing with arrow keys, history, and pasted text that may have several lines (libedit). The terminal is as it was
// whenever no line is being read, also where a signal ends or stops the program meanwhile.
class LineEditor {
 public:
  // Whether standard input and output are a terminal that an editor can use ($TERM says what it can do).
  static bool usable();

  LineEditor();
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class End { line, interrupt, end_of_input };
  struct Line {
    End end = End::line;
    std::string text;  // UTF-8, without the newline at its end; where interrupted, what had been typed
  };
  // Waits for a line. SIGINT (Ctrl-C) ends the waiting.
  Line read(const std::string& prompt);

  // What the arrow keys bring back, from then on.
  void remember(std::string_view text);

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace weft::tools

// What is left undone when a signal ends the program.
#pragma once

#include <string>

namespace weft::tools {

// While it lives, SIGINT, SIGTERM and SIGHUP remove `file` before they end the program as they would have. At most one
// at a time.
class RemoveOnSignal {
 public:
  explicit RemoveOnSignal(const std::string& file);
  ~RemoveOnSignal();
  RemoveOnSignal(const RemoveOnSignal&) = delete;
  RemoveOnSignal& operator=(const RemoveOnSignal&) = delete;
};

}  // namespace weft::tools

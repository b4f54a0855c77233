// What is left undone when a signal ends the program.
#pragma once

#include <string>
#include <vector>

namespace weft::tools {

// While it lives, SIGINT, SIGTERM and SIGHUP remove `files`, those that are there, before they end the program as
// they would have. At most one at a time.
class RemoveOnSignal {
 public:
  explicit RemoveOnSignal(std::vector<std::string> files);
  ~RemoveOnSignal();
  RemoveOnSignal(const RemoveOnSignal&) = delete;
  RemoveOnSignal& operator=(const RemoveOnSignal&) = delete;

  // From here on a signal waits until this object goes: for steps that are short, and done all or none.
  void hold();

 private:
  std::vector<std::string> files_;
  std::vector<const char*> names_;  // of files_, then null
};

}  // namespace weft::tools

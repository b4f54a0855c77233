// Removes what is unfinished when a signal ends the program.
#pragma once

#include <string>
#include <vector>

namespace weft::tools {

// During its lifetime, SIGINT, SIGTERM and SIGHUP remove `files`, if they exist, before they end the program as
// usual. Only one instance at a time.
class RemoveOnSignal {
 public:
  explicit RemoveOnSignal(std::vector<std::string> files);
  ~RemoveOnSignal();
  RemoveOnSignal(const RemoveOnSignal&) = delete;
  RemoveOnSignal& operator=(const RemoveOnSignal&) = delete;

  // From here on, a signal waits for destruction: for short steps that must be done completely or not at all.
  void hold();

 private:
  std::vector<std::string> files_;
  std::vector<const char*> names_;  // of files_, then null
};

}  // namespace weft::tools

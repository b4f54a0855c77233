// The control groups (cgroups, v1 and v2) that limit this process.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace weft {

struct ControlGroup {
  std::filesystem::path folder;  // of the group's files
  bool unified;                  // v2
};

// The process's group of `controller` ("cpu", "memory") and those above it, as far as they are visible. `root`:
// where /proc and /sys are found; tests set it. What cannot be read is left out.
std::vector<ControlGroup> control_groups(std::string_view controller, const std::filesystem::path& root = "/");

}  // namespace weft

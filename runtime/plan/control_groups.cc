#include "runtime/plan/control_groups.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace weft {

namespace {

namespace fs = std::filesystem;

bool lists(std::string_view list, std::string_view wanted) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (list.substr(0, comma) == wanted) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

// Where groups are visible: "ID PARENT MAJOR:MINOR ROOT MOUNT OPTIONS ... - TYPE SOURCE OPTIONS".
struct Mount {
  fs::path top;  // the group that is mounted; in a container, the container's
  fs::path point;
  bool unified;
};

std::vector<Mount> mounts_of(std::string_view controller, const fs::path& root) {
  std::vector<Mount> mounts;
  std::ifstream file(root / "proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t dash = line.find(" - ");
    if (dash == line.npos) continue;
    std::string skipped, top, point, type, source, options;
    std::istringstream(line) >> skipped >> skipped >> skipped >> top >> point;
    std::istringstream(line.substr(dash + 3)) >> type >> source >> options;
    if (type == "cgroup2") mounts.push_back({top, point, true});
    if (type == "cgroup" && lists(options, controller)) mounts.push_back({top, point, false});
  }
  return mounts;
}

}  // namespace

std::vector<ControlGroup> control_groups(std::string_view controller, const fs::path& root) {
  const std::vector<Mount> mounts = mounts_of(controller, root);
  std::vector<ControlGroup> groups;
  std::ifstream file(root / "proc/self/cgroup");  // lines of "ID:CONTROLLERS:PATH"; v2 names no controllers
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = first == line.npos ? first : line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string_view controllers = std::string_view(line).substr(first + 1, second - first - 1);
    const bool unified = controllers.empty();
    if (!unified && !lists(controllers, controller)) continue;
    for (const Mount& mount : mounts) {
      if (mount.unified != unified) continue;
      fs::path inside = fs::path(line.substr(second + 1)).lexically_relative(mount.top);
      if (inside.empty() || *inside.begin() == "..") inside = ".";
      fs::path folder = root / mount.point.relative_path();
      groups.push_back({folder, unified});
      for (const fs::path& part : inside) {
        if (part != ".") groups.push_back({folder /= part, unified});
      }
    }
  }
  return groups;
}

}  // namespace weft

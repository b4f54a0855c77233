#include "runtime/cpus.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace weft {
namespace {

namespace fs = std::filesystem;

// A mask of fixed size cannot hold the CPUs of the largest machines: it grows until the system accepts it.
int cpus_of_mask() {
  for (int capacity = 1024; capacity <= (1 << 20); capacity *= 2) {
    cpu_set_t* mask = CPU_ALLOC(static_cast<size_t>(capacity));
    if (mask == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(static_cast<size_t>(capacity));
    const bool known = sched_getaffinity(0, bytes, mask) == 0;
    const int count = known ? CPU_COUNT_S(bytes, mask) : 0;
    CPU_FREE(mask);
    if (known) return std::max(count, 1);
  }
  return online_cpus();
}

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// CPUs that a group's own files allow: "QUOTA PERIOD" of v2 ("max": no quota), or a file each of v1 (-1: no quota).
double quota_of_group(const fs::path& group, bool unified) {
  std::string quota, period;
  if (unified) {
    std::istringstream(first_line(group / "cpu.max")) >> quota >> period;
  } else {
    quota = first_line(group / "cpu.cfs_quota_us");
    period = first_line(group / "cpu.cfs_period_us");
  }
  const auto used = number(quota), of = number(period);
  if (!used || !of || *used <= 0 || *of <= 0) return std::numeric_limits<double>::infinity();
  return *used / *of;
}

bool lists(std::string_view list, std::string_view wanted) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (list.substr(0, comma) == wanted) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

// Where the files of control groups are: "ID PARENT MAJOR:MINOR ROOT MOUNT OPTIONS ... - TYPE SOURCE OPTIONS".
struct Mount {
  fs::path root, point;
  bool unified;
};

std::vector<Mount> group_mounts(const fs::path& root) {
  std::vector<Mount> mounts;
  std::ifstream file(root / "proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t dash = line.find(" - ");
    if (dash == line.npos) continue;
    std::string skipped, group, point, type, source, options;
    std::istringstream(line) >> skipped >> skipped >> skipped >> group >> point;
    std::istringstream(line.substr(dash + 3)) >> type >> source >> options;
    if (type == "cgroup2") mounts.push_back({group, point, true});
    if (type == "cgroup" && lists(options, "cpu")) mounts.push_back({group, point, false});
  }
  return mounts;
}

// The smallest quota of the group `path` and those above it. In a container the mount shows a part of the hierarchy,
// whose root is the container's group.
double smallest_quota(const fs::path& root, const Mount& mount, const fs::path& path) {
  fs::path inside = path.lexically_relative(mount.root);
  if (inside.empty() || *inside.begin() == "..") inside = ".";
  const fs::path top = root / mount.point.relative_path();
  double least = quota_of_group(top, mount.unified);
  fs::path group = top;
  for (const fs::path& part : inside) {
    if (part == ".") continue;
    group /= part;
    least = std::min(least, quota_of_group(group, mount.unified));
  }
  return least;
}

double cpu_quota(const fs::path& root) {
  const std::vector<Mount> mounts = group_mounts(root);
  double least = std::numeric_limits<double>::infinity();
  std::ifstream file(root / "proc/self/cgroup");  // lines of "ID:CONTROLLERS:PATH"; v2 names no controllers
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = first == line.npos ? first : line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string_view controllers = std::string_view(line).substr(first + 1, second - first - 1);
    const bool unified = controllers.empty();
    if (!unified && !lists(controllers, "cpu")) continue;
    for (const Mount& mount : mounts) {
      if (mount.unified == unified) least = std::min(least, smallest_quota(root, mount, line.substr(second + 1)));
    }
  }
  return least;
}

}  // namespace

int usable_cpus(const std::filesystem::path& root) {
  const int allowed = cpus_of_mask();
  const double quota = std::ceil(cpu_quota(root));
  return quota < allowed ? std::max(static_cast<int>(quota), 1) : allowed;
}

int online_cpus() { return static_cast<int>(std::max(::sysconf(_SC_NPROCESSORS_ONLN), 1L)); }

ReadyTasks::ReadyTasks() : file_(::open("/proc/loadavg", O_RDONLY | O_CLOEXEC)) {}

ReadyTasks::~ReadyTasks() {
  if (file_ >= 0) ::close(file_);
}

int ReadyTasks::count() const {
  // "0.20 0.18 0.12 1/80 11206": three averages, then tasks that are ready and all tasks.
  char text[128];
  const ssize_t length = file_ < 0 ? 0 : ::pread(file_, text, sizeof text, 0);
  if (length <= 0) return 0;
  std::string_view rest(text, static_cast<size_t>(length));
  for (int average = 0; average < 3; ++average) rest.remove_prefix(std::min(rest.find(' '), rest.size() - 1) + 1);
  int ready = 0;
  std::from_chars(rest.data(), rest.data() + rest.size(), ready);
  return std::max(ready, 0);
}

}  // namespace weft

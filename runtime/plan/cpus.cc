#include "runtime/plan/cpus.h"

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

#include "runtime/plan/control_groups.h"

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

// CPUs that a group's own files allow: "QUOTA PERIOD" in v2 ("max": no quota), or one file for each in v1 (-1: no
// quota).
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

// The smallest quota of the process's group and those above it.
double cpu_quota(const fs::path& root) {
  double least = std::numeric_limits<double>::infinity();
  for (const ControlGroup& group : control_groups("cpu", root)) {
    least = std::min(least, quota_of_group(group.folder, group.unified));
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
  // "0.20 0.18 0.12 1/80 11206": three averages, then the number of ready tasks and of all tasks.
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

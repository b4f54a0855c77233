// The CPUs of this machine: how many this process may use, and how many tasks want to run on them.
#pragma once

#include <filesystem>

namespace weft {

// CPUs that this process may use: those of its affinity mask (taskset, cpusets), at most the quota of its control
// group and of the groups above it, rounded up (v1 and v2). At least 1. `root`: where /proc and /sys are found;
// tests set it. A limit that cannot be read is ignored.
int usable_cpus(const std::filesystem::path& root = "/");

// CPUs of the machine that are online, at least 1.
int online_cpus();

// Reads how many tasks of the whole machine are running or ready to run, including the calling thread. One reading
// costs a few microseconds. For one thread at a time.
class ReadyTasks {
 public:
  ReadyTasks();
  ~ReadyTasks();
  ReadyTasks(const ReadyTasks&) = delete;
  ReadyTasks& operator=(const ReadyTasks&) = delete;

  int count() const;  // 0 where the system does not report it

 private:
  int file_;  // /proc/loadavg, or -1
};

}  // namespace weft

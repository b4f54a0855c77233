// The CPUs that a process may use: affinity, quotas of control groups, and what others run.
#include "runtime/plan/cpus.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace weft {
namespace {

namespace fs = std::filesystem;

// A root folder with the files that say where a process's control groups are.
class Root {
 public:
  Root() {
    path_ = fs::temp_directory_path() / ("weft-cpus-" + std::to_string(::getpid()));
    fs::remove_all(path_);
  }
  ~Root() { fs::remove_all(path_); }

  void file(const fs::path& name, const std::string& text) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

int allowed_cpus() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  sched_getaffinity(0, sizeof mask, &mask);
  return CPU_COUNT(&mask);
}

constexpr const char* kUnifiedMount =
    "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

TEST(UsableCpus, IsThatOfTheAffinityMask) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  Root root;  // no control groups
  EXPECT_EQ(usable_cpus(root.path()), allowed_cpus());
  cpu_set_t one;
  CPU_ZERO(&one);
  for (size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &before)) continue;
    CPU_SET(cpu, &one);
    break;
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(usable_cpus(root.path()), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
}

TEST(UsableCpus, IsAtMostTheQuotaOfTheGroup) {
  Root root;
  root.file("proc/self/mountinfo", kUnifiedMount);
  root.file("proc/self/cgroup", "0::/user.slice/weft\n");
  root.file("sys/fs/cgroup/user.slice/weft/cpu.max", "100000 100000\n");
  EXPECT_EQ(usable_cpus(root.path()), 1);
  root.file("sys/fs/cgroup/user.slice/weft/cpu.max", "20000 100000\n");
  EXPECT_EQ(usable_cpus(root.path()), 1);
  root.file("sys/fs/cgroup/user.slice/weft/cpu.max", "max 100000\n");
  EXPECT_EQ(usable_cpus(root.path()), allowed_cpus());
}

TEST(UsableCpus, PartOfACpuCountsAsOne) {
  if (allowed_cpus() < 2) GTEST_SKIP() << "one CPU";
  Root root;
  root.file("proc/self/mountinfo", kUnifiedMount);
  root.file("proc/self/cgroup", "0::/a\n");
  root.file("sys/fs/cgroup/a/cpu.max", "110000 100000\n");
  EXPECT_EQ(usable_cpus(root.path()), 2);
}

TEST(UsableCpus, AGroupAboveMayHaveTheQuota) {
  Root root;
  root.file("proc/self/mountinfo", kUnifiedMount);
  root.file("proc/self/cgroup", "0::/a/b/c\n");
  root.file("sys/fs/cgroup/a/cpu.max", "50000 100000\n");
  root.file("sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
  EXPECT_EQ(usable_cpus(root.path()), 1);
}

TEST(UsableCpus, ReadsTheFilesOfVersionOne) {
  Root root;
  root.file("proc/self/mountinfo",
            "31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
            "32 23 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n");
  root.file("proc/self/cgroup", "5:memory:/a\n4:cpu,cpuacct:/a\n0::/\n");
  root.file("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "100000\n");
  root.file("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(usable_cpus(root.path()), 1);
  root.file("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(usable_cpus(root.path()), allowed_cpus());
}

// A container's mount begins at its own group, while /proc may show the path that the host knows.
TEST(UsableCpus, AContainersGroupIsTheRootOfItsMount) {
  Root root;
  root.file("proc/self/mountinfo", "32 23 0:28 /docker/12ab /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n");
  root.file("proc/self/cgroup", "4:cpu:/docker/12ab\n");
  root.file("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n");
  root.file("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(usable_cpus(root.path()), 1);
}

TEST(UsableCpus, WhatMakesNoSenseSetsNoLimit) {
  Root root;
  root.file("proc/self/mountinfo", std::string(kUnifiedMount) + "cut - \n - \n-\n");
  root.file("proc/self/cgroup", "0::/a\n0::/../..\nnothing\n::\n");
  for (const char* text : {"", "\n", "0 0\n", "-5 100000\n", "100000\n", "1e400 100000\n", "x y\n", "100000 x\n"}) {
    root.file("sys/fs/cgroup/a/cpu.max", text);
    EXPECT_EQ(usable_cpus(root.path()), allowed_cpus()) << text;
  }
}

TEST(ReadyTasks, SeesThreadsThatRun) {
  const ReadyTasks ready;
  if (ready.count() == 0) GTEST_SKIP() << "/proc/loadavg is not there";
  EXPECT_GE(ready.count(), 1);  // this one
  std::atomic<bool> over{false};
  std::thread busy([&] {
    while (!over) {
    }
  });
  bool seen = false;
  const auto begin = std::chrono::steady_clock::now();
  while (!seen && std::chrono::steady_clock::now() - begin < std::chrono::seconds(10)) seen = ready.count() >= 2;
  over = true;
  busy.join();
  EXPECT_TRUE(seen);
}

}  // namespace
}  // namespace weft

// The limits of the machine: what is measured, over how much memory, by threads that stay in their places. No figure is
// compared with another: machines are disturbed.
#include "ops/cpu/machine_limits.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <filesystem>
#include <fstream>

#include "ops/cpu/cpu_target.h"
#include "ops/cpu/pinned_team.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

// A folder like /sys, removed at the end.
class FakeRoot {
 public:
  FakeRoot() {
    std::string name = (fs::temp_directory_path() / "weft-sys-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~FakeRoot() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  void cache(int cpu, int index, int level, const std::string& type, const std::string& size, const std::string& cpus) {
    const fs::path at =
        path_ / "sys/devices/system/cpu" / ("cpu" + std::to_string(cpu)) / "cache" / ("index" + std::to_string(index));
    fs::create_directories(at);
    std::ofstream(at / "level") << level << "\n";
    std::ofstream(at / "type") << type << "\n";
    std::ofstream(at / "size") << size << "\n";
    std::ofstream(at / "shared_cpu_list") << cpus << "\n";
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

TEST(MachineLimits, LastLevelCachesAreCountedOnceAndTogether) {
  FakeRoot root;
  EXPECT_EQ(last_level_cache(root.path()), 0u);
  for (int cpu = 0; cpu < 4; ++cpu) {
    root.cache(cpu, 0, 1, "Data", "48K", std::to_string(cpu));
    root.cache(cpu, 1, 1, "Instruction", "32K", std::to_string(cpu));
    root.cache(cpu, 2, 2, "Unified", "2048K", std::to_string(cpu));
    root.cache(cpu, 3, 3, "Unified", "32M", cpu < 2 ? "0-1" : "2-3");
  }
  EXPECT_EQ(last_level_cache(root.path()), size_t{64} << 20);
}

TEST(MachineLimits, BlocksToReadAreLargerThanCachesAndLeaveHalfOfTheMemory) {
  const size_t size = uncached_size(size_t{1} << 50);
  EXPECT_GE(size, 4 * last_level_cache());
  EXPECT_EQ(uncached_size(size), size / 2);
  EXPECT_GT(uncached_size(0), 0u);
}

TEST(MachineLimits, EveryFigureIsMeasured) {
  for (const int threads : {1, 2}) {
    const MachineLimits limits = LimitMeter(threads, 1 << 20).measure(0);
    EXPECT_EQ(limits.threads, threads);
    EXPECT_EQ(limits.read_size, size_t{1} << 20);
    EXPECT_GT(limits.read_bytes, 0);
    EXPECT_GT(limits.fma_flops, 0);
    EXPECT_GT(limits.int8_ops, 0);
    EXPECT_EQ(limits.amx_flops > 0, has_amx_bf16());
  }
}

TEST(MachineLimits, TeamsShareABlock) {
  const LimitMeter two(2, 1 << 20);
  LimitMeter one = two.for_team(1);
  const MachineLimits limits = one.measure(0);
  EXPECT_EQ(limits.threads, 1);
  EXPECT_EQ(limits.read_size, size_t{1} << 20);
  EXPECT_GT(limits.read_bytes, 0);
}

TEST(MachineLimits, TheBestOfTwoIsThatOfEachFigure) {
  const MachineLimits best = best_of({2, 64, 5, 1, 3, 0}, {2, 64, 4, 2, 2, 7});
  EXPECT_EQ(best.threads, 2);
  EXPECT_EQ(best.read_size, 64u);
  EXPECT_EQ(best.read_bytes, 5);
  EXPECT_EQ(best.fma_flops, 2);
  EXPECT_EQ(best.int8_ops, 3);
  EXPECT_EQ(best.amx_flops, 7);
}

TEST(MachineLimits, KernelsComputeWithTheUnitThatTheirRowNames) {
  EXPECT_EQ(peak_unit_of("f32-dot"), PeakUnit::fma);
  EXPECT_EQ(peak_unit_of("attention"), PeakUnit::fma);
  EXPECT_EQ(peak_unit_of("f32-x16, int8-x16-vnni"), PeakUnit::int8);
#if defined(__x86_64__)
  EXPECT_EQ(peak_unit_of("bf16-x16-amx, int8-dot"), PeakUnit::amx);
#endif
  const MachineLimits limits{.fma_flops = 1, .int8_ops = 2, .amx_flops = 0};
  EXPECT_EQ(peak_of(limits, PeakUnit::int8), 2);
  EXPECT_EQ(peak_of(limits, PeakUnit::amx), 1);  // where there is no such unit, nothing can have used it
}

TEST(PinnedTeam, ThreadsStayOnOneCpuAndAreFreeAfterwards) {
  cpu_set_t before, during, after;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  {
    const PinnedTeam pinned(1);
    ASSERT_EQ(sched_getaffinity(0, sizeof during, &during), 0);
    EXPECT_TRUE(!pinned.is_pinned() || CPU_COUNT(&during) == 1);
  }
  ASSERT_EQ(sched_getaffinity(0, sizeof after, &after), 0);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
  EXPECT_EQ(cpus_to_pin().size(), static_cast<size_t>(CPU_COUNT(&before)));
  EXPECT_FALSE(PinnedTeam(CPU_COUNT(&before) + 1).is_pinned());
}

}  // namespace
}  // namespace weft

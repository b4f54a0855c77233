#include "runtime/plan/available_memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "runtime/generate/engine.h"
#include "runtime/plan/control_groups.h"
#include "tests/command.h"
#include "tests/errors.h"
#include "tests/gpu_device.h"
#include "tests/small_model.h"

namespace weft {
namespace {

namespace fs = std::filesystem;
using test::error_of;

// A folder that looks like the root of a system.
class System {
 public:
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((folder_ / path).parent_path());
    std::ofstream(folder_ / path) << text;
  }
  fs::path root() const { return folder_ / ""; }
  size_t available(size_t untouched = 0) const { return available_memory(untouched, root()); }

 private:
  test::TemporaryFolder folder_;
};

constexpr size_t kKilo = 1024;

TEST(AvailableMemory, OfTheSystem) {
  const System system;
  EXPECT_GT(system.available(), size_t{1} << 60);  // nothing says so
  system.write("proc/meminfo",
               "MemTotal:       24105 kB\nMemFree:  1 kB\nMemAvailable:    5000 kB\nSwapFree:   100 kB\n");
  EXPECT_EQ(system.available(), 5100 * kKilo);
  EXPECT_EQ(system.available(100 * kKilo), 5000 * kKilo);
  EXPECT_EQ(system.available(size_t{1} << 40), 0u);
}

TEST(AvailableMemory, OfControlGroups) {
  const System v2;
  v2.write("proc/meminfo", "MemAvailable: 5000 kB\n");
  v2.write("proc/self/cgroup", "0::/a/b\n");
  v2.write("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n");
  v2.write("sys/fs/cgroup/a/b/memory.max", "max\n");
  v2.write("sys/fs/cgroup/a/b/memory.current", "1000\n");
  EXPECT_EQ(v2.available(), 5000 * kKilo);
  v2.write("sys/fs/cgroup/a/memory.max", "100000\n");  // the group above
  v2.write("sys/fs/cgroup/a/memory.current", "70000\n");
  EXPECT_EQ(v2.available(), 30000u);
  v2.write("sys/fs/cgroup/a/memory.stat", "anon 5\ninactive_file 20000\nactive_file 3000\n");
  EXPECT_EQ(v2.available(), 53000u);
  v2.write("sys/fs/cgroup/a/b/memory.max", "1500\n");
  EXPECT_EQ(v2.available(), 500u);
  v2.write("sys/fs/cgroup/a/b/memory.current", "2000\n");
  EXPECT_EQ(v2.available(), 0u);

  // In a container, the group that is mounted is the container's.
  const System v1;
  v1.write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/c1\n");
  v1.write("proc/self/mountinfo",
           "32 31 0:29 /docker/c1 /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n");
  v1.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9000\n");
  v1.write("sys/fs/cgroup/memory/memory.usage_in_bytes", "5000\n");
  v1.write("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 700\n");
  EXPECT_EQ(v1.available(), 4700u);
  ASSERT_EQ(control_groups("memory", v1.root()).size(), 1u);
  EXPECT_FALSE(control_groups("memory", v1.root())[0].unified);
  EXPECT_TRUE(control_groups("cpu", v1.root()).empty());
}

TEST(AvailableMemory, OfTheAddressSpace) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  const size_t small = size_t{1} << 46;  // more than a sanitizer maps
  rlimit limit = before;
  limit.rlim_cur = std::min<rlim_t>(small, before.rlim_max);
  ASSERT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
  const System system;
  system.write("proc/self/status", "Name:\tx\nVmSize:\t    1000 kB\n");
  EXPECT_EQ(system.available(), limit.rlim_cur - 1000 * kKilo);
  EXPECT_EQ(system.available(5000), limit.rlim_cur - 1000 * kKilo);  // what is allocated is counted, touched or not
  setrlimit(RLIMIT_AS, &before);
}

TEST(AvailableMemory, InWords) {
  EXPECT_EQ(bytes_text(999), "999 bytes");
  EXPECT_EQ(bytes_text(25769803776), "25769803776 bytes (25.8 GB)");
}

// The number before `unit`, which is looked for from `from` on.
size_t number_before(const std::string& text, const std::string& unit, size_t from = 0) {
  const size_t end = text.find(unit, from);
  if (end == text.npos) return 0;
  const size_t begin = text.find_last_not_of("0123456789", end - 1) + 1;
  return std::stoull(text.substr(begin, end - begin));
}

// Two layers of keys and values of 2 heads of 8 floats and the positions, for each slot.
constexpr size_t kSlot = 2 * (2 * 2 * 8 * 4 + 4);

EngineOptions with_context(int32_t context) {
  EngineOptions options;
  options.context = context;
  return options;
}

TEST(AvailableMemory, ACacheThatDoesNotFitSaysWhatWould) {
  const LanguageModel model = test::small_model();
  Engine small(model, Device::cpu(1), with_context(320));
  ASSERT_EQ(small.cache().bytes(), 320 * kSlot);
  constexpr int32_t kTokens = 2'000'000'000;  // 540 GB
  std::vector<Device> devices = {Device::cpu(1)};
  if (test::opencl_device()) devices.push_back(*test::opencl_device());
  for (const Device& device : devices) {
    const std::string message = error_of([&] { Engine(model, device, with_context(kTokens)); });
    EXPECT_CONTAINS(message, "the KV cache of a context of 2000000000 tokens takes " +
                                 std::to_string(size_t{kTokens} * kSlot) + " bytes");
    EXPECT_CONTAINS(message, "tokens fit (-c)");
    const size_t fits = number_before(message, " tokens fit");
    EXPECT_GT(fits, 1000u) << message;
    if (device.is_cpu()) {
      EXPECT_LT(fits * kSlot, number_before(message, " bytes (", message.find(", and ")));
    }
  }
}

TEST(AvailableMemory, CachesOfWindowsTakeLess) {
  LanguageModel model = test::small_model();
  model.windows = {64};
  EXPECT_LT(Engine(model, Device::cpu(1), with_context(1'000'000'000)).cache().bytes(), 1000 * kSlot);
}

TEST(AvailableMemory, SequencesThatShareACache) {
  EngineOptions options = with_context(1000);
  options.sequences = 3;
  options.cache_tokens = 2'000'000'000;
  const std::string message = error_of([&] { Engine(test::small_model(), Device::cpu(1), options); });
  EXPECT_CONTAINS(message, "the KV cache of 2000000000 tokens in all sequences takes ");
  options.cache_tokens = 0;
  options.context = 500'000'000;
  EXPECT_CONTAINS(error_of([&] { Engine(test::small_model(), Device::cpu(1), options); }),
                  "the KV cache of 3 sequences with a context of 500000000 tokens takes ");
}

TEST(AvailableMemory, AStepThatDoesNotFit) {
  EngineOptions options = with_context(2'000'000'000);
  options.batch = 1'000'000'000;  // the embeddings alone take 4 TB
  options.logit_rows = 1;
  test::SmallModelShape shape;
  shape.embed = 1024;
  shape.layers = 0;  // no cache
  const std::string message = error_of([&] { Engine(test::small_model(shape), Device::cpu(1), options); });
  EXPECT_CONTAINS(message, "the values of a step take ");
  EXPECT_CONTAINS(message, "steps of fewer tokens (-b, --chunk) take less");
}

}  // namespace
}  // namespace weft

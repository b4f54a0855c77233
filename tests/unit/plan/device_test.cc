// What a device says of itself is what runs.
#include "runtime/plan/device.h"

#include <gtest/gtest.h>

#include "ops/cpu/cpu_target.h"
#include "tests/errors.h"
#include "tests/targets.h"

namespace weft {
namespace {

std::string best_of(int64_t targets) { return hwy::TargetName(targets & -targets); }

TEST(Device, ACpuIsNamedAfterTheTargetThatKernelsRunWith) {
  const int64_t compiled = hwy::SupportedTargets() & HWY_TARGETS;
  EXPECT_EQ(Device::cpu(1).name(), "cpu, 1 thread, " + best_of(compiled));
  EXPECT_EQ(Device::cpu(3).name(), "cpu, 3 threads, " + best_of(compiled));
  on_every_target([] { EXPECT_EQ(cpu_target(), best_of(hwy::SupportedTargets())); });
  EXPECT_EQ(cpu_target(), best_of(compiled));
}

// A machine may support more than kernels are compiled for.
TEST(Device, TargetsWithoutKernelsAreNotNamed) {
  for (int64_t bit = 1; bit < HWY_STATIC_TARGET; bit <<= 1) {
    if ((HWY_TARGETS & bit) != 0) continue;
    hwy::SetSupportedTargetsForTest(bit | HWY_STATIC_TARGET);
    EXPECT_EQ(Device::cpu(1).name(), "cpu, 1 thread, " + best_of(HWY_STATIC_TARGET));
  }
  hwy::SetSupportedTargetsForTest(0);
}

TEST(Device, DisabledTargetsAreNotNamed) {
  const int64_t compiled = hwy::SupportedTargets() & HWY_TARGETS;
  int64_t disabled = 0;
  for (int64_t rest = compiled; (rest & (rest - 1)) != 0; rest &= rest - 1) {
    disabled |= (rest & -rest) * 2 - 1;  // it, and those above it
    hwy::DisableTargets(disabled);
    EXPECT_EQ(Device::cpu(1).name(), "cpu, 1 thread, " + best_of(rest & (rest - 1)));
  }
  hwy::DisableTargets(0);
  EXPECT_EQ(Device::cpu(1).name(), "cpu, 1 thread, " + best_of(compiled));
}

}  // namespace
}  // namespace weft

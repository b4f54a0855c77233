#include "runtime/plan/memory_planner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/errors.h"

namespace weft {
namespace {

using test::error_of;

// The most bytes that are live in one step, each value rounded up: no plan can do with less.
size_t peak(const std::vector<LiveValue>& values, int steps) {
  size_t most = 0;
  for (int step = 0; step < steps; ++step) {
    size_t bytes = 0;
    for (const LiveValue& value : values) {
      if (value.first <= step && step <= value.last) bytes += (std::max<size_t>(value.bytes, 1) + 63) / 64 * 64;
    }
    most = std::max(most, bytes);
  }
  return most;
}

TEST(MemoryPlanner, ChainUsesTwoValuesOfRoom) {
  std::vector<LiveValue> values;
  for (int i = 0; i < 10; ++i) values.push_back({1024, i, i + 1});
  EXPECT_EQ(plan_memory(values).bytes, 2048u);
}

TEST(MemoryPlanner, ReadAndWrittenInOneStepAreApart) {
  const std::vector<LiveValue> values = {{100, 0, 1}, {100, 1, 2}};
  const MemoryPlan plan = plan_memory(values);
  EXPECT_NE(plan.offsets[0], plan.offsets[1]);
  EXPECT_EQ(plan.bytes, 256u);
}

TEST(MemoryPlanner, NothingAndEmptyValues) {
  EXPECT_EQ(plan_memory({}).bytes, 0u);
  const std::vector<LiveValue> values = {{0, 0, 3}, {8, 0, 3}};
  EXPECT_NO_THROW(check_memory_plan(values, plan_memory(values)));
}

TEST(MemoryPlanner, RandomLivesNeverOverlap) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<LiveValue> values(1 + random() % 60);
    size_t sum = 0;
    for (LiveValue& value : values) {
      value.first = static_cast<int>(random() % 30);
      value.last = value.first + static_cast<int>(random() % 8);
      value.bytes = random() % 5 == 0 ? random() % 100000 : random() % 500;
      sum += (std::max<size_t>(value.bytes, 1) + 63) / 64 * 64;
    }
    const MemoryPlan plan = plan_memory(values);
    ASSERT_NO_THROW(check_memory_plan(values, plan)) << "round " << round;
    EXPECT_GE(plan.bytes, peak(values, 40));
    EXPECT_LE(plan.bytes, sum);
  }
}

TEST(MemoryPlanner, TheCheckFindsFaults) {
  const std::vector<LiveValue> values = {{64, 0, 1}, {64, 1, 1}};
  EXPECT_EQ(error_of([&] { check_memory_plan(values, {{0, 0}, 128}); }), "memory plan: value 1 overlaps value 0");
  EXPECT_EQ(error_of([&] { check_memory_plan(values, {{0, 32}, 128}); }), "memory plan: value 1 is not aligned");
  EXPECT_EQ(error_of([&] { check_memory_plan(values, {{0, 64}, 100}); }),
            "memory plan: value 1 lies outside the block");
}

}  // namespace
}  // namespace weft

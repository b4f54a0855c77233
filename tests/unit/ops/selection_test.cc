// The k largest along an axis, against the reference.
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "ops/select/cases.h"
#include "ops/select/cpu.h"
#include "tests/check_cases.h"

namespace weft {
namespace {

TEST(Selection, Cases) { check_cases(selection_cases()); }

// compare() lets ids of equal values differ; here they may not.
TEST(Selection, TiesGoToTheLowerIndexAndNaNIsLast) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();
  const std::vector<float> data = {kNaN, 1, 3, -kInf, 3, 1, kNaN, 3, 2};
  const std::vector<int32_t> order = {2, 4, 7, 8, 1, 5, 0, 3, 6, 0, 0};
  on_every_target([&] {
    for (int64_t k = 1; k <= 11; ++k) {
      std::vector<float> values(static_cast<size_t>(k));
      std::vector<int32_t> ids(static_cast<size_t>(k)), room(data.size());
      TopK top(values.data(), ids.data(), k);
      top.add(data.data(), 5, 1, 0);
      top.add(data.data() + 5, 4, 1, 5);
      top.finish();
      EXPECT_EQ(ids, std::vector<int32_t>(order.begin(), order.begin() + k));
      if (k > 6) {
        EXPECT_EQ(values[6], -kInf);
      }
      std::vector<float> sorted(values.size());
      std::vector<int32_t> sorted_ids(ids.size());
      select_by_sorting(data.data(), 9, 1, k, room.data(), sorted.data(), sorted_ids.data(), 1);
      EXPECT_EQ(sorted_ids, ids);
      EXPECT_EQ(sorted, values);
      TopK first(values.data(), ids.data(), k), second(sorted.data(), sorted_ids.data(), k);
      first.add(data.data(), 3, 1, 0);
      second.add(data.data() + 3, 6, 1, 3);
      first.add_candidates(second);
      first.finish();
      EXPECT_EQ(ids, std::vector<int32_t>(order.begin(), order.begin() + k));
    }
  });
}

TEST(Selection, SplitAmongThreadsGivesTheLowestOfEqualIds) {
  const StepCase step_case = selection_case({1, 20000}, 1, 8, true, 0, true);
  const Outputs want = run_reference(step_case);
  for (const int threads : {1, 2, 3}) {
    const Outputs got = run_cpu(step_case, Precision::exact, threads);
    EXPECT_EQ(got[0], want[0]) << threads;
    EXPECT_EQ(got[1], want[1]) << threads;
  }
}

}  // namespace
}  // namespace weft

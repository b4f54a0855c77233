// Running a test once for each Highway target that this machine supports, not only the best.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "hwy/targets.h"
#include "ops/case.h"
#include "ops/reference.h"
#include "ops/run_cpu.h"

namespace weft {

inline void on_every_target(const std::function<void()>& test) {
  for (int64_t rest = hwy::SupportedTargets() & HWY_TARGETS; rest != 0; rest &= rest - 1) {
    hwy::SetSupportedTargetsForTest(rest & -rest);
    SCOPED_TRACE(hwy::TargetName(rest & -rest));
    test();
    hwy::SetSupportedTargetsForTest(0);
  }
}

// The CPU kernels against the reference: every case, on every target, with 1 and with 2 threads.
inline void check_cases(const std::vector<StepCase>& cases, const Tolerance& tolerance = {},
                        Precision precision = Precision::exact) {
  std::vector<Outputs> want;
  for (const StepCase& step_case : cases) want.push_back(run_reference(step_case));
  on_every_target([&] {
    for (size_t i = 0; i < cases.size(); ++i) {
      for (const int threads : {1, 2}) {
        const Outputs got = run_cpu(cases[i], precision, threads);
        EXPECT_EQ(compare(cases[i], got, want[i], tolerance), "")
            << cases[i].name() << " with " << threads << " threads";
      }
    }
  });
}

}  // namespace weft

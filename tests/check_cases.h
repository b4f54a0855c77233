// The CPU kernels against the reference, over a table of cases.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "ops/harness/case.h"
#include "ops/harness/reference.h"
#include "ops/harness/run_cpu.h"
#include "tests/targets.h"

namespace weft {

// Every case on every target with one thread, and on the best target with two. The tolerance's magnitude is each
// case's absolute_sum.
inline void check_cases(const std::vector<StepCase>& cases, const Tolerance& allowed = {},
                        Precision precision = Precision::exact) {
  std::vector<Outputs> want;
  std::vector<double> magnitudes;
  for (const StepCase& step_case : cases) {
    want.push_back(run_reference(step_case));
    magnitudes.push_back(absolute_sum(step_case));
  }
  const auto check = [&](int threads) {
    for (size_t i = 0; i < cases.size(); ++i) {
      Tolerance tolerance = allowed;
      tolerance.magnitude = magnitudes[i];
      EXPECT_EQ(compare(cases[i], run_cpu(cases[i], precision, threads), want[i], tolerance), "")
          << cases[i].name() << " with " << threads << (threads == 1 ? " thread" : " threads");
    }
  };
  on_every_target([&] { check(1); });
  check(2);
}

}  // namespace weft

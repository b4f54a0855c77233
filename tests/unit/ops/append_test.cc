// Append kernels against the double-precision reference: the whole case table, on every Highway target, with one
// thread and two.
#include <gtest/gtest.h>

#include "ops/append/cases.h"
#include "ops/harness/reference.h"
#include "ops/harness/run_cpu.h"
#include "tests/fast_reference.h"
#include "tests/targets.h"

namespace weft {
namespace {

TEST(Append, AgreesWithReference) {
  for (const StepCase& step_case : append_case_table()) {
    SCOPED_TRACE(step_case.name());
    const Outputs want = run_reference(step_case);
    const Tolerance tolerance{.absolute = 3e-6, .magnitude = absolute_sum(step_case)};
    on_every_target(
        [&] { EXPECT_EQ(compare(step_case, run_cpu(step_case, Precision::exact, 1), want, tolerance), ""); });
    EXPECT_EQ(compare(step_case, run_cpu(step_case, Precision::exact, 2), want, tolerance), "");
    EXPECT_EQ(compare(step_case, run_cpu(step_case, Precision::fast, 2), want,
                      {.absolute = 0.01, .magnitude = absolute_sum(step_case)}),
              "");
    EXPECT_EQ(compare(step_case, run_cpu(step_case, Precision::fast, 2), run_fast_reference(step_case), tolerance), "");
  }
}

}  // namespace
}  // namespace weft

// Norms and reductions against the reference.
#include "ops/reduce/cases.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/check_cases.h"

namespace weft {
namespace {

TEST(Reduce, Norms) { check_cases(norm_cases()); }

TEST(Reduce, OneReduction) { check_cases(reduction_cases()); }

TEST(Reduce, LongMeansAreAccurate) {
  // Equal elements round the same way each time, so a single running f32 sum would drift far.
  CaseBuilder c(StepKind::reduce, "mean of equal elements");
  const AxisId pos = c.axis("pos", 2), embed = c.axis("embed", 300000);
  const ValueId x = c.input("x", {pos, embed});
  c.set(x, std::vector<float>(600000, 0.1f));
  const int load = c.operand(x);
  ScalarBuilder s, map;
  c.body({pos}, map.finish(map.reduction(0)), embed, {{ReduceOp::mean, s.finish(s.load(load))}});
  const StepCase step_case = c.build();
  on_every_target([&] {
    const Outputs got = run_cpu(step_case);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_NEAR(reinterpret_cast<const float*>(got[0].data())[i] / 0.1f, 1, 1e-6);
    }
  });
}

}  // namespace
}  // namespace weft

// Append kernels against the double-precision reference: the whole case table, on every Highway target, with one
// thread and two.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "ops/append/cases.h"
#include "ops/cpu/encode_tile.h"
#include "ops/harness/fast_reference.h"
#include "ops/harness/reference.h"
#include "ops/harness/run_cpu.h"
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

// Values that are appended as they come have the bytes that the encoder gives them, whatever they are.
TEST(Append, StoresWhatTheEncoderGives) {
  for (const Format stored : kCacheFormats) {
    for (const double nonfinite : {0.0, 0.05}) {
      const StepCase step_case = append_cases::copied(
          {.sequences = {{9, 5}, {3, 3}}, .heads = 3, .head_dim = 64, .skip_every = 4, .stored = stored}, nonfinite);
      SCOPED_TRACE(step_case.name());
      const Outputs want = run_reference(step_case);
      on_every_target([&] { EXPECT_EQ(run_cpu(step_case, Precision::exact, 1), want); });
      EXPECT_EQ(run_cpu(step_case, Precision::fast, 2), want);
    }
  }
}

TEST(Append, VectorEncodersGiveTheBytesOfThePlainOnes) {
  std::vector<float> special = {0.0f,     -0.0f,    1.0f,      65504.0f, 65519.9f, 65520.0f, -65536.0f,
                                6.1e-5f,  6.0e-8f,  2.98e-8f,  2.9e-8f,  1.0e-40f, 3.0e38f,  -3.4e38f,
                                1.00049f, 1.00146f, 1.0039f,   5.96e-8f, 1e-30f,   127.5f,   -0.5f,
                                1.5f,     2.5f,     8320767.f, 8.4e6f};
  std::mt19937_64 random(5);
  for (const Format format : kCacheFormats) {
    const auto block = static_cast<int64_t>(info(format).block_elements);
    for (int round = 0; round < 400; ++round) {
      const int64_t count = block * (1 + static_cast<int64_t>(random() % (block > 1 ? 4 : 70)));
      const double magnitude = std::exp2(static_cast<double>(random() % 60) - 40.0);
      std::vector<float> values(static_cast<size_t>(count));
      for (float& x : values) {
        x = static_cast<float>((static_cast<double>(random() % 20001) / 1e4 - 1) * magnitude);
        if (random() % 40 == 0) x = special[random() % special.size()];
        if (round % 5 == 0) x = std::bit_cast<float>(static_cast<uint32_t>(random()));
        if (round % 7 == 0 && random() % 90 == 0) x = std::numeric_limits<float>::infinity();
      }
      const size_t bytes = row_bytes(format, values.size()), before = row_bytes(format, static_cast<size_t>(block));
      std::vector<std::byte> want(before + bytes + 8, std::byte{0xa5}), got;
      encode_row_or_nan(format, values.data(), values.size(), want.data() + before);
      on_every_target([&] {
        got.assign(want.size(), std::byte{0xa5});
        encode_elements(format, values.data(), got.data(), block, count);
        ASSERT_EQ(got, want) << name(format) << " " << round;
      });
    }
  }
}

}  // namespace
}  // namespace weft

// Rotary embeddings against the reference: both pairings, any axis, any positions.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ops/rope/cases.h"
#include "ops/rope/cpu.h"
#include "tests/check_cases.h"

namespace weft {
namespace {

TEST(Rotation, Cases) { check_cases(rotation_cases()); }

// Of contractions whose activations may be rounded.
TEST(Rotation, FastIsNear) { check_cases(rotation_cases(), {.absolute = 0.01, .relative = 0.02}, Precision::fast); }

TEST(Rotation, TablesOfFarPositions) {
  const std::vector<float> frequencies = {1.0f, 0.7f, 1e-1f, 1e-3f, 1e-5f};
  on_every_target([&] {
    for (const int32_t position : {0, 1, -1, 7, 4095, 131071, 1000000, 1 << 30}) {
      std::vector<float> cosines(5), sines(5);
      rotation_table(position, frequencies.data(), 5, 1.5f, cosines.data(), sines.data());
      for (size_t i = 0; i < 5; ++i) {
        const double angle = static_cast<double>(static_cast<float>(position) * frequencies[i]);
        EXPECT_NEAR(static_cast<double>(cosines[i]), 1.5 * std::cos(angle), 3e-7) << position << " " << i;
        EXPECT_NEAR(static_cast<double>(sines[i]), 1.5 * std::sin(angle), 3e-7) << position << " " << i;
      }
    }
  });
}

}  // namespace
}  // namespace weft

// Rotary frequencies of stretched contexts, by what their papers say of them.
#include "runtime/files/rope_scaling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace weft {
namespace {

using Type = RopeScaling::Type;

RopeScaling scaling(Type type, double factor = 8) {
  RopeScaling s;
  s.type = type, s.base = 10000, s.dims = 64, s.factor = factor, s.original_context = 2048;
  return s;
}

double frequency(double base, size_t i, int dims) { return std::pow(base, -2.0 * static_cast<double>(i) / dims); }

TEST(RopeScaling, PlainAndLinear) {
  const auto plain = scaled_frequencies(scaling(Type::none)), linear = scaled_frequencies(scaling(Type::linear));
  ASSERT_EQ(plain.size(), 32u);
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_FLOAT_EQ(plain[i], static_cast<float>(frequency(10000, i, 64)));
    EXPECT_FLOAT_EQ(linear[i], plain[i] / 8);
  }
}

TEST(RopeScaling, NtkKeepsTheFastestAndStretchesTheSlowest) {
  const auto plain = scaled_frequencies(scaling(Type::none)), ntk = scaled_frequencies(scaling(Type::ntk));
  EXPECT_FLOAT_EQ(ntk.front(), 1);
  EXPECT_NEAR(ntk.back() / plain.back(), 1.0 / 8, 1e-6);
  for (size_t i = 1; i < plain.size(); ++i) EXPECT_LT(ntk[i] / plain[i], ntk[i - 1] / plain[i - 1]);
}

// Fewer than beta_slow turns in the original context: divided; more than beta_fast: as they are.
TEST(RopeScaling, YarnBlendsByTurns) {
  RopeScaling s = scaling(Type::yarn);
  s.truncate = false;
  const auto plain = scaled_frequencies(scaling(Type::none)), yarn = scaled_frequencies(s);
  int kept = 0, divided = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    const double turns = 2048 * static_cast<double>(plain[i]) / (2 * std::numbers::pi);
    EXPECT_LE(yarn[i], plain[i]);
    EXPECT_GE(yarn[i], plain[i] / 8);
    if (turns > 32) {
      EXPECT_FLOAT_EQ(yarn[i], plain[i]);
      ++kept;
    } else if (turns < 1) {
      EXPECT_FLOAT_EQ(yarn[i], plain[i] / 8);
      ++divided;
    }
  }
  EXPECT_GT(kept, 5);
  EXPECT_GT(divided, 5);
  EXPECT_DOUBLE_EQ(yarn_magnitude(1), 1);
  EXPECT_NEAR(yarn_magnitude(8), 0.1 * std::log(8.0) + 1, 1e-12);
}

TEST(RopeScaling, Llama3BlendsByWavelength) {
  RopeScaling s = scaling(Type::llama3);
  s.base = 500000, s.dims = 128, s.original_context = 8192, s.low_frequency_factor = 1, s.high_frequency_factor = 4;
  const auto frequencies = scaled_frequencies(s);
  int kept = 0, divided = 0;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double plain = frequency(500000, i, 128), wavelength = 2 * std::numbers::pi / plain;
    if (wavelength < 8192.0 / 4) {
      EXPECT_FLOAT_EQ(frequencies[i], static_cast<float>(plain));
      ++kept;
    } else if (wavelength > 8192.0) {
      EXPECT_FLOAT_EQ(frequencies[i], static_cast<float>(plain / 8));
      ++divided;
    } else {
      const double smooth = (8192 / wavelength - 1) / (4 - 1);
      EXPECT_FLOAT_EQ(frequencies[i], static_cast<float>((1 - smooth) * plain / 8 + smooth * plain));
    }
  }
  EXPECT_GT(kept, 5);
  EXPECT_GT(divided, 5);
}

TEST(RopeScaling, TwoDimensionsAndNone) {
  for (const Type type : {Type::none, Type::linear, Type::ntk, Type::yarn, Type::llama3}) {
    RopeScaling s = scaling(type);
    s.dims = 2;
    ASSERT_EQ(scaled_frequencies(s).size(), 1u);
    EXPECT_TRUE(std::isfinite(scaled_frequencies(s)[0]));
    s.dims = 0;
    EXPECT_TRUE(scaled_frequencies(s).empty());
  }
}

}  // namespace
}  // namespace weft

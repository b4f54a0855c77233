// Quantizers: how little they lose, and blocks of a kind that breaks searches.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "core/format/format.h"
#include "tests/errors.h"

namespace weft::test {
namespace {

std::vector<uint8_t> encoded(Format format, const std::vector<float>& values) {
  std::vector<uint8_t> bytes(row_bytes(format, values.size()));
  encode_row(format, values.data(), values.size(), bytes.data());
  return bytes;
}

std::vector<float> coded(Format format, const std::vector<float>& values) {
  const std::vector<uint8_t> bytes = encoded(format, values);
  std::vector<float> out(values.size());
  decode_row(format, bytes.data(), out.size(), out.data());
  return out;
}

double relative_error(const std::vector<float>& values, const std::vector<float>& out) {
  double error = 0, whole = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    error += std::pow(static_cast<double>(out[i]) - static_cast<double>(values[i]), 2);
    whole += std::pow(static_cast<double>(values[i]), 2);
  }
  return std::sqrt(error / whole);
}

std::vector<float> gaussian(size_t count, double size, double middle = 0, uint32_t seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<double> draw(middle, size);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(draw(random));
  return values;
}

// What a format's levels allow, for numbers around 0: the relative error of Gaussian weights.
double gaussian_bound(Format format) {
  switch (format) {
    case Format::q2_k: return 0.27;
    case Format::q3_k: return 0.147;
    case Format::q4_0: return 0.083;
    case Format::iq4_nl:
    case Format::iq4_xs: return 0.076;
    case Format::q4_1:
    case Format::q4_k: return 0.072;
    case Format::q5_0: return 0.041;
    case Format::q5_1:
    case Format::q5_k: return 0.036;
    case Format::q6_k: return 0.0175;
    case Format::mxfp4: return 0.125;
    case Format::nvfp4: return 0.1;
    default: return 0.0075;  // 255 levels: Q8_0, and Q8_K with its larger blocks
  }
}

// How far a value may be from the nearest multiple of a level by a scale, relative to it.
float own_error(Format format) {
  switch (format) {
    case Format::mxfp4: return 0.2f;   // levels like 2, 3 and 4, times powers of two
    case Format::nvfp4: return 0.04f;  // and scales of three bits
    default: return 0.005f;            // a scale of f16 and one of a few bits, both rounded
  }
}

TEST(Quantize, GaussianWeightsOfAnySize) {
  for (const Format format : kBlockFormats) {
    // Down to where scales of scales still have bits as f16; the smaller ones are below. NVFP4's scales end at 448.
    const bool narrow = format == Format::nvfp4;
    for (const double size : {1.0, narrow ? 0.2 : 0.02, narrow ? 400.0 : 3000.0}) {
      const std::vector<float> values = gaussian(4096, size);
      EXPECT_LT(relative_error(values, coded(format, values)), gaussian_bound(format)) << name(format) << " " << size;
    }
  }
}

TEST(Quantize, ZerosStayZero) {
  for (const Format format : kBlockFormats) {
    const std::vector<float> zeros(512, 0.0f);
    EXPECT_EQ(coded(format, zeros), zeros) << name(format);
    std::vector<float> half = gaussian(512, 1);  // a block of zeros beside one that is not
    std::fill(half.begin(), half.begin() + 256, -0.0f);
    const std::vector<float> out = coded(format, half);
    for (size_t i = 0; i < 256; ++i) EXPECT_EQ(out[i], 0.0f) << name(format) << " " << i;
  }
}

TEST(Quantize, ConstantBlocks) {
  for (const Format format : kBlockFormats) {
    for (const float value : {1.0f, -1.0f, 0.37f, -250.0f}) {
      const std::vector<float> out = coded(format, std::vector<float>(256, value));
      for (const float x : out) EXPECT_NEAR(x, value, std::fabs(value) * own_error(format)) << name(format);
    }
  }
}

// The outlier is kept; the values beside it lose no more than one step.
TEST(Quantize, OneOutlier) {
  for (const Format format : kBlockFormats) {
    for (const float outlier : {1000.0f, -1000.0f}) {
      std::vector<float> values = gaussian(256, 1);
      values[100] = outlier;
      const std::vector<float> out = coded(format, values);
      EXPECT_NEAR(out[100], outlier, 1000 * own_error(format)) << name(format);
      // IQ4_NL and IQ4_XS have no level 0: what is small beside the outlier becomes 1/127 of it.
      const bool nonlinear = format == Format::iq4_nl || format == Format::iq4_xs;
      const double bound = std::max(nonlinear ? 0.05 : 0.03, static_cast<double>(own_error(format)) + 0.02);
      EXPECT_LT(relative_error(values, out), bound) << name(format);
    }
  }
}

// All values on one side, far from zero and close together: formats with a free offset keep the differences.
TEST(Quantize, FarFromZero) {
  const std::vector<float> values = gaussian(1024, 0.05, 20);
  for (const Format format : kBlockFormats) {
    const double lost = relative_error(values, coded(format, values));
    const double bound = std::max(0.006, static_cast<double>(own_error(format)));
    EXPECT_LT(lost, format == Format::q4_1 || format == Format::q5_1 ? 0.0006 : bound) << name(format);
  }
}

// Smaller than f16 scales resolve, down to subnormal f32, and larger than they reach: finite, and no farther off
// than the value itself.
TEST(Quantize, BeyondTheScalesRange) {
  for (const Format format : kBlockFormats) {
    for (const double size : {1e-44, 1e-38, 1e-20, 1e-9, 1e-7, 1e-5, 1e7, 1e20, 5e37}) {
      const std::vector<float> values = gaussian(512, size);
      const std::vector<float> out = coded(format, values);
      for (size_t i = 0; i < values.size(); ++i) {
        ASSERT_TRUE(std::isfinite(out[i])) << name(format) << " " << size;
      }
      // 5e37 and squares of it fit double.
      EXPECT_LE(relative_error(values, out), 1.0001) << name(format) << " " << size;
    }
    if (format == Format::nvfp4) continue;  // its scales begin at 2^-9
    // At 1e-5 the scales are subnormal, and have at least a few bits.
    const std::vector<float> small = gaussian(512, 1e-5);
    EXPECT_LT(relative_error(small, coded(format, small)), 3 * gaussian_bound(format) + 0.05) << name(format);
  }
}

// Values on a format's own grid, whose extremes are taken and whose scales f16 holds, come back as they were.
TEST(Quantize, OwnValuesComeBack) {
  std::mt19937 random(7);
  for (const Format format : {Format::q4_0, Format::q4_1, Format::q5_0, Format::q5_1, Format::q8_0, Format::q8_k}) {
    const bool offset = format == Format::q4_1 || format == Format::q5_1;
    const bool four = format == Format::q4_0 || format == Format::q4_1;
    const bool eight = format == Format::q8_0 || format == Format::q8_k;
    const int levels = eight ? 255 : four ? 16 : 32;
    const int low = eight ? -127 : offset ? 0 : -levels / 2;
    const size_t block = info(format).block_elements;
    std::vector<float> values(4 * block);
    for (size_t i = 0; i < values.size(); ++i) {
      const int drawn = static_cast<int>(random() % static_cast<unsigned>(levels));
      const int q = low + (i % block == 0 ? 0 : i % block == 1 ? levels - 1 : drawn);
      values[i] = 0.125f * static_cast<float>(q) + (offset ? -1.5f : 0.0f);
    }
    EXPECT_EQ(coded(format, values), values) << name(format);
  }
  for (const Format format :
       {Format::iq4_nl, Format::iq4_xs, Format::q2_k, Format::q3_k, Format::q4_k, Format::q5_k, Format::q6_k}) {
    // A block whose scales and levels take their extremes, made by hand: coded twice, it does not change again.
    const std::vector<float> once = coded(format, gaussian(1024, 1));
    EXPECT_LT(relative_error(once, coded(format, once)), 0.02) << name(format);
  }
}

TEST(Quantize, SameInputSameBytes) {
  for (const Format format : kBlockFormats) {
    const std::vector<float> values = gaussian(1024, 1);
    const std::vector<uint8_t> whole = encoded(format, values);
    const std::vector<uint8_t> last = encoded(format, {values.begin() + 768, values.end()});
    EXPECT_TRUE(std::equal(last.begin(), last.end(), whole.end() - std::ssize(last))) << name(format);
  }
}

TEST(Quantize, SumsOfQ8K) {
  const std::vector<float> values = gaussian(256, 1);
  const std::vector<uint8_t> bytes = encoded(Format::q8_k, values);
  for (size_t group = 0; group < 16; ++group) {
    int sum = 0;
    for (size_t i = 0; i < 16; ++i) sum += static_cast<int8_t>(bytes[4 + 16 * group + i]);
    const int stored = static_cast<int16_t>(bytes[260 + 2 * group] | bytes[261 + 2 * group] << 8);
    EXPECT_EQ(stored, sum) << group;
  }
}

TEST(Quantize, RefusesWhatIsNotFinite) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> values(1024, 1.0f);
  EXPECT_EQ(first_not_finite(values.data(), values.size()), values.size());
  for (const float bad : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
    for (const size_t at : {size_t{0}, size_t{255}, size_t{700}, size_t{1023}}) {
      std::vector<float> spoiled = values;
      spoiled[at] = bad;
      EXPECT_EQ(first_not_finite(spoiled.data(), spoiled.size()), at);
      EXPECT_CONTAINS(error_of([&] { encoded(Format::q6_k, spoiled); }),
                      "element " + std::to_string(at) + " is " + std::to_string(bad) + ", and Q6_K holds finite");
    }
  }
  // The largest finite values are not mistaken for larger ones.
  std::fill(values.begin(), values.end(), std::numeric_limits<float>::max());
  EXPECT_EQ(first_not_finite(values.data(), values.size()), values.size());
}

}  // namespace
}  // namespace weft::test

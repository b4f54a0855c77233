// Every row of the kernel table that computes products, chosen or not, against plain scalar forms of the same.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "ops/contract/reference.h"
#include "ops/cpu/kernel_table.h"
#include "tests/product_sums.h"
#include "tests/targets.h"

namespace weft {
namespace {

// Calls test(kernel, format) for each that this machine can run, on every target.
template <class Test>
void for_each_kernel(const Test& test) {
  for (const ProductKernel* kernel : kernel_table().products()) {
    SCOPED_TRACE(kernel->name);
    for (const Format format : kernel->formats) {
      SCOPED_TRACE(name(format));
      on_every_target([&] {
        if (kernel->is_available()) test(*kernel, format);
      });
    }
  }
}

// Gives the blocks of all rows scales that are powers of two.
void set_all_scales(Format format, float scale, std::vector<std::byte>& weights) {
  for (size_t at = 0; at < weights.size(); at += info(format).block_bytes) {
    set_scales(format, scale, reinterpret_cast<uint8_t*>(weights.data() + at));
  }
}

// A row whose runs have a largest magnitude of 127 times a power of two, so that quantizing it loses nothing.
std::vector<float> whole_activations(size_t k, std::mt19937_64& random) {
  std::vector<float> row(k);
  for (size_t i = 0; i < k; ++i) {
    const float step = i / 32 % 2 == 0 ? 0.25f : 0.5f;
    const auto q = static_cast<int>(random() % 255) - 127;
    row[i] = step * static_cast<float>(i % 32 == 7 ? (q < 0 ? -127 : 127) : q);
  }
  return row;
}

TEST(ProductKernels, HaveNamesAndRanges) {
  std::set<std::string> names;
  for (const ProductKernel* kernel : kernel_table().products()) {
    EXPECT_TRUE(names.insert(kernel->name).second) << kernel->name;
    EXPECT_FALSE(row_counts(*kernel).empty()) << kernel->name;
    EXPECT_EQ(kernel_table().find_product(kernel->name), kernel);
  }
  EXPECT_TRUE(names.contains("int8-x16"));
  EXPECT_TRUE(names.contains("f32-dot"));
}

// Integers within a block are exact, and so is all else where scales are powers of two.
TEST(ProductKernels, IntegerSumsAreExact) {
  constexpr size_t kOutputs = 21;
  for_each_kernel([](const ProductKernel& kernel, Format format) {
    if (!is_int8(kernel)) return;
    std::mt19937_64 random(3);
    for (const size_t k : {size_t{256}, size_t{512}}) {
      std::vector<std::byte> weights(kOutputs * row_bytes(format, k));
      for (std::byte& byte : weights) byte = static_cast<std::byte>(random());
      set_all_scales(format, 0.125f, weights);
      for (const size_t rows : row_counts(kernel)) {
        Activations x;
        for (size_t m = 0; m < rows; ++m) x.push_back(whole_activations(k, random));
        ASSERT_EQ(reference::quantized(x[0]), std::vector<double>(x[0].begin(), x[0].end()));
        check_sums(kernel, format, weights, kOutputs, x,
                   [](float got, double want, double) { EXPECT_EQ(static_cast<double>(got), want); });
      }
    }
  });
}

TEST(ProductKernels, AgreeWithScalarSums) {
  for_each_kernel([](const ProductKernel& kernel, Format format) { EXPECT_EQ(product_error(kernel, format), ""); });
}

// Bytes that are all alike, among them the largest and the smallest of each format, and activations of +-127
// steps: no sum of 16 bits may saturate.
TEST(ProductKernels, ExtremesDoNotSaturate) {
  constexpr size_t kDepth = 512;
  for_each_kernel([](const ProductKernel& kernel, Format format) {
    if (!is_int8(kernel)) return;
    std::vector<float> low(kDepth, -127), mixed_2(kDepth, 127), mixed_3(kDepth, 127);
    for (size_t i = 0; i < kDepth; i += 2) mixed_2[i] = -127;
    for (size_t i = 0; i < kDepth; i += 3) mixed_3[i] = -127;
    for (const int byte : {0x00, 0x0f, 0x7f, 0x80, 0x88, 0xf0, 0xff}) {
      std::vector<std::byte> weights(row_bytes(format, kDepth), static_cast<std::byte>(byte));
      set_all_scales(format, 0.125f, weights);
      for (const Activations& x : {Activations{std::vector<float>(kDepth, 127), low}, Activations{mixed_2, mixed_3}}) {
        check_sums(kernel, format, weights, 1, x,
                   [](float got, double want, double absolute) { EXPECT_NEAR(got, want, 5e-7 * absolute); });
      }
    }
  });
}

// Each quantized activation alone, by right-hand rows that are 1 at one element and 0 elsewhere.
std::vector<float> seen_by_unit_rows(const ProductKernel& kernel, const std::vector<float>& x) {
  const size_t k = x.size(), bytes = row_bytes(Format::q8_0, k);
  std::vector<std::byte> weights(k * bytes);
  for (size_t i = 0; i < k; ++i) {
    std::vector<float> row(k, 0.0f);
    row[i] = 127;
    encode_row(Format::q8_0, row.data(), k, weights.data() + i * bytes);
  }
  std::vector<float> seen =
      kernel_sums(kernel, Format::q8_0, packed_for(kernel, Format::q8_0, weights, k, k), k, {x}).front();
  seen.resize(k);
  for (float& v : seen) v /= 127;
  return seen;
}

// What is left of an activation behind its digits, and that rows that have none are multiplied as they are.
TEST(ProductKernels, DigitsHoldAllOfAnActivation) {
  constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
  std::mt19937_64 random(4);
  for_each_kernel([&](const ProductKernel& kernel, Format format) {
    if (kernel.activations.element != ActivationElement::digits || format != Format::q8_0) return;
    for (const float magnitude : {1.0f, 0.99999994f, 127.0f, 1e36f, 2e-30f}) {
      std::vector<float> x(64);
      for (size_t i = 0; i < x.size(); ++i) {
        x[i] = magnitude * (static_cast<float>(random() % 20001) / 10000 - 1) / static_cast<float>(1 << random() % 20);
      }
      x[5] = x[40] = -magnitude;
      const std::vector<float> seen = seen_by_unit_rows(kernel, x);
      for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(seen[i], x[i], magnitude * 0x1p-23f) << magnitude;
    }
    for (const float odd : {kInf, -kInf, kNan, 1e-35f}) {
      Activations x(3, std::vector<float>(64, 0.5f));
      std::fill(x[1].begin() + 32, x[1].end(), odd);
      std::vector<std::byte> weights(17 * row_bytes(format, 64));
      random_blocks(format, 17 * 64, 1, 0, [&] { return random(); }, weights.data());
      const ProductKernel& plain = *kernel_table().find_product("f32-x16");
      const auto got = kernel_sums(kernel, format, packed_for(kernel, format, weights, 17, 64), 17, x);
      for (size_t m = 0; m < 3; ++m) {
        const auto want = kernel_sums(plain, format, packed_for(plain, format, weights, 17, 64), 17, {x[m]}).front();
        for (size_t j = 0; j < 17; ++j) {
          if (m == 1) EXPECT_EQ(std::bit_cast<uint32_t>(got[m][j]), std::bit_cast<uint32_t>(want[j])) << odd;
          else EXPECT_NEAR(got[m][j], want[j], 1e-5f) << odd;
        }
      }
    }
  });
}

TEST(ProductKernels, ActivationsAreQuantizedByTheRule) {
  std::mt19937 random(9);
  std::vector<float> x;
  const auto run = [&](float magnitude, const auto& element) {
    for (int i = 0; i < 32; ++i) x.push_back(i == 13 ? -magnitude : magnitude * element(i));
  };
  const auto uniform = [&](int) { return static_cast<float>(random() % 20001) / 10000 - 1; };
  run(1, uniform);
  run(0.37f, uniform);
  run(127, [](int i) { return (static_cast<float>(i) + 0.5f) / 127; });   // ties
  run(127, [](int i) { return (-static_cast<float>(i) - 0.5f) / 127; });  // the others
  run(0, uniform);
  run(1e-31f, uniform);  // taken for 0
  run(2e-30f, uniform);
  run(1e36f, uniform);
  run(1e-3f, [](int i) { return i == 20 ? 1.0f : 0.0f; });
  const std::vector<double> want = reference::quantized(x);
  for_each_kernel([&](const ProductKernel& kernel, Format format) {
    if (!is_int8(kernel) || format != Format::q8_0) return;
    const std::vector<float> got = seen_by_unit_rows(kernel, x);
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_NEAR(got[i], want[i], 3e-7 * std::fabs(want[i])) << "element " << i << ", " << x[i];
    }
  });
}

TEST(ProductKernels, RunsThatAreNotFiniteMakeSumsNaN) {
  for_each_kernel([](const ProductKernel& kernel, Format format) {
    if (!is_int8(kernel) || format != Format::q8_0) return;
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()}) {
      for (const size_t at : {size_t{0}, size_t{31}, size_t{40}}) {
        std::vector<float> x(96, 1.0f);
        x[at] = bad;
        for (const float sum : seen_by_unit_rows(kernel, x)) EXPECT_TRUE(std::isnan(sum)) << bad << " at " << at;
      }
    }
  });
}

}  // namespace
}  // namespace weft

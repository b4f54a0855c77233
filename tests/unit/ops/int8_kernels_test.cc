// The int8 kernels of contractions against plain scalar forms of the same: elements that decode_row gives, times
// activations quantized as ops/contract/reference.h says, summed in double.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "ops/contract/kernels.h"
#include "ops/contract/reference.h"
#include "ops/harness/random_blocks.h"
#include "tests/targets.h"

namespace weft {
namespace {

using Activations = std::vector<std::vector<float>>;  // rows

struct Sums {
  std::vector<std::vector<double>> sum, absolute;  // by left-hand row and output
};

Sums scalar_sums(Format format, const std::vector<std::byte>& weights, size_t outputs, const Activations& x) {
  const size_t k = x.front().size();
  std::vector<std::vector<float>> rows(outputs, std::vector<float>(k));
  for (size_t j = 0; j < outputs; ++j) {
    decode_row(format, weights.data() + j * row_bytes(format, k), k, rows[j].data());
  }
  Sums result;
  for (const std::vector<float>& row : x) {
    const std::vector<double> activations = reference::quantized(row);
    std::vector<double>& sum = result.sum.emplace_back(outputs, 0.0);
    std::vector<double>& absolute = result.absolute.emplace_back(outputs, 0.0);
    for (size_t j = 0; j < outputs; ++j) {
      for (size_t i = 0; i < k; ++i) {
        const double product = activations[i] * static_cast<double>(rows[j][i]);
        sum[j] += product;
        absolute[j] += std::fabs(product);
      }
    }
  }
  return result;
}

using Kernel = decltype(&dot_int8_rows);
constexpr Kernel kKernels[] = {dot_int8_rows, dot_int8_rows_by_highway};

std::vector<std::vector<float>> kernel_sums(Kernel kernel, Format format, const std::vector<std::byte>& weights,
                                            size_t outputs, const Activations& x) {
  const size_t k = x.front().size();
  std::vector<const std::byte*> rows, left;
  for (size_t j = 0; j < outputs; ++j) rows.push_back(weights.data() + j * row_bytes(format, k));
  std::vector<std::vector<std::byte>> quantized(x.size(),
                                                std::vector<std::byte>(quantized_row_bytes(static_cast<int64_t>(k))));
  std::vector<std::vector<float>> out(x.size(), std::vector<float>(outputs));
  std::vector<float*> to;
  for (size_t m = 0; m < x.size(); ++m) {
    quantize_activations(x[m].data(), static_cast<int64_t>(k), quantized[m].data());
    left.push_back(quantized[m].data());
    to.push_back(out[m].data());
  }
  kernel(format, rows.data(), static_cast<int64_t>(outputs), left.data(), static_cast<int>(x.size()),
         static_cast<int64_t>(k), to.data());
  return out;
}

// Calls check(got, want, absolute) for each sum of each kernel on each target, with one to kInt8Rows left-hand
// rows.
template <class Check>
void on_every_sum(Format format, const std::vector<std::byte>& weights, size_t outputs, const Activations& x,
                  const Check& check) {
  const Sums want = scalar_sums(format, weights, outputs, x);
  on_every_target([&] {
    for (size_t rows = 1; rows <= x.size(); ++rows) {
      for (const Kernel kernel : kKernels) {
        const auto got =
            kernel_sums(kernel, format, weights, outputs, {x.begin(), x.begin() + static_cast<int64_t>(rows)});
        for (size_t m = 0; m < rows; ++m) {
          for (size_t j = 0; j < outputs; ++j) check(got[m][j], want.sum[m][j], want.absolute[m][j]);
        }
      }
    }
  });
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

TEST(Int8Kernels, IntegerSumsAreExact) {
  constexpr size_t kOutputs = 7;
  for (const Format format : kBlockFormats) {
    SCOPED_TRACE(name(format));
    std::mt19937_64 random(3);
    for (const size_t k : {size_t{256}, size_t{512}}) {
      std::vector<std::byte> weights(kOutputs * row_bytes(format, k));
      for (std::byte& byte : weights) byte = static_cast<std::byte>(random());
      set_all_scales(format, 0.125f, weights);
      Activations x;
      for (int m = 0; m < kInt8Rows; ++m) x.push_back(whole_activations(k, random));
      for (const std::vector<float>& row : x) {
        ASSERT_EQ(reference::quantized(row), std::vector<double>(row.begin(), row.end()));
      }
      on_every_sum(format, weights, kOutputs, x,
                   [](float got, double want, double) { EXPECT_EQ(static_cast<double>(got), want); });
    }
  }
}

TEST(Int8Kernels, SumsAreThoseOfAnyScales) {
  constexpr size_t kOutputs = 5;
  for (const Format format : kBlockFormats) {
    SCOPED_TRACE(name(format));
    std::mt19937_64 random(5);
    for (const size_t blocks : {size_t{1}, size_t{2}, size_t{3}, size_t{7}}) {
      const size_t k = blocks * info(format).block_elements;
      std::vector<std::byte> weights(kOutputs * row_bytes(format, k));
      random_blocks(format, kOutputs * k, 1, 0, [&] { return random(); }, weights.data());
      Activations x(kInt8Rows, std::vector<float>(k));
      for (std::vector<float>& row : x) {
        for (float& v : row) v = static_cast<float>(random() % 20001) / 10000 - 1;
      }
      on_every_sum(format, weights, kOutputs, x,
                   [](float got, double want, double absolute) { EXPECT_NEAR(got, want, 5e-7 * absolute); });
    }
  }
}

// Bytes that are all alike, among them the largest and the smallest of each format, and activations of +-127
// steps: no sum of 16 bits may saturate.
TEST(Int8Kernels, ExtremesDoNotSaturate) {
  constexpr size_t kDepth = 512;
  for (const Format format : kBlockFormats) {
    SCOPED_TRACE(name(format));
    for (const int byte : {0x00, 0x0f, 0x7f, 0x80, 0x88, 0xf0, 0xff}) {
      std::vector<std::byte> weights(row_bytes(format, kDepth), static_cast<std::byte>(byte));
      set_all_scales(format, 0.125f, weights);
      std::vector<float> low(kDepth, -127), mixed_2(kDepth, 127), mixed_3(kDepth, 127);
      for (size_t i = 0; i < kDepth; i += 2) mixed_2[i] = -127;
      for (size_t i = 0; i < kDepth; i += 3) mixed_3[i] = -127;
      for (const Activations& x : {Activations{std::vector<float>(kDepth, 127), low}, Activations{mixed_2, mixed_3}}) {
        on_every_sum(format, weights, 1, x,
                     [](float got, double want, double absolute) { EXPECT_NEAR(got, want, 5e-7 * absolute); });
      }
    }
  }
}

// Each quantized activation alone, by right-hand rows that are 1 at one element and 0 elsewhere.
std::vector<float> seen_by_unit_rows(const std::vector<float>& x) {
  const size_t k = x.size(), bytes = row_bytes(Format::q8_0, k);
  std::vector<std::byte> weights(k * bytes);
  for (size_t i = 0; i < k; ++i) {
    std::vector<float> row(k, 0.0f);
    row[i] = 127;
    encode_row(Format::q8_0, row.data(), k, weights.data() + i * bytes);
  }
  std::vector<float> seen = kernel_sums(dot_int8_rows, Format::q8_0, weights, k, {x}).front();
  for (float& v : seen) v /= 127;
  return seen;
}

TEST(Int8Kernels, ActivationsAreQuantizedByTheRule) {
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
  on_every_target([&] {
    const std::vector<float> got = seen_by_unit_rows(x);
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_NEAR(got[i], want[i], 3e-7 * std::fabs(want[i])) << "element " << i << ", " << x[i];
    }
  });
}

TEST(Int8Kernels, RunsThatAreNotFiniteMakeSumsNaN) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    for (const size_t at : {size_t{0}, size_t{31}, size_t{40}}) {
      std::vector<float> x(96, 1.0f);
      x[at] = bad;
      on_every_target([&] {
        for (const float sum : seen_by_unit_rows(x)) EXPECT_TRUE(std::isnan(sum)) << bad << " at " << at;
      });
    }
  }
}

}  // namespace
}  // namespace weft

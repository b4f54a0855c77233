// Every row of the kernel table that computes products, chosen or not, against plain scalar forms of the same: elements
// that decode_row gives, times activations as they are or quantized as ops/contract/reference.h says, summed in double.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "core/align.h"
#include "ops/contract/activations.h"
#include "ops/contract/reference.h"
#include "ops/cpu/kernel_table.h"
#include "ops/harness/random_blocks.h"
#include "tests/targets.h"

namespace weft {
namespace {

using Activations = std::vector<std::vector<float>>;  // rows

struct Sums {
  std::vector<std::vector<double>> sum, absolute;  // by left-hand row and output
};

bool is_int8(const ProductKernel& kernel) { return kernel.activations.element == ActivationElement::int8; }

std::vector<double> as_read(const ProductKernel& kernel, const std::vector<float>& row) {
  return is_int8(kernel) ? reference::quantized(row) : std::vector<double>(row.begin(), row.end());
}

Sums scalar_sums(const ProductKernel& kernel, Format format, const std::vector<std::byte>& weights, size_t outputs,
                 const Activations& x) {
  const size_t k = x.front().size();
  std::vector<std::vector<float>> rows(outputs, std::vector<float>(k));
  for (size_t j = 0; j < outputs; ++j) {
    decode_row(format, weights.data() + j * row_bytes(format, k), k, rows[j].data());
  }
  Sums result;
  for (const std::vector<float>& row : x) {
    const std::vector<double> activations = as_read(kernel, row);
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

// Right-hand rows in the layout that the kernel reads, and their addresses.
struct Packed {
  std::vector<std::byte> bytes;
  std::vector<const std::byte*> right;
};

Packed packed_for(const ProductKernel& kernel, Format format, const std::vector<std::byte>& weights, size_t outputs,
                  size_t k) {
  Packed packed;
  if (kernel.layout.is_stored()) {
    packed.bytes = weights;
    for (size_t j = 0; j < outputs; ++j) packed.right.push_back(packed.bytes.data() + j * row_bytes(format, k));
    return packed;
  }
  const Interleaved to(format, kernel.layout, {1, static_cast<int64_t>(outputs), static_cast<int64_t>(k)});
  packed.bytes.resize(to.bytes());
  for (int64_t g = 0; g < to.groups(); ++g) {
    std::byte* group = packed.bytes.data() + static_cast<size_t>(g) * to.group_bytes();
    to.pack_group(weights.data(), g, group);
    packed.right.push_back(group);
  }
  return packed;
}

std::vector<std::vector<float>> kernel_sums(const ProductKernel& kernel, Format format, const Packed& packed,
                                            size_t outputs, const Activations& x) {
  const auto k = static_cast<int64_t>(x.front().size()), rows = static_cast<int64_t>(x.size());
  const int64_t columns = align_up(static_cast<int64_t>(outputs), std::max<int64_t>(kernel.layout.rows, 1));
  const ActivationForm& form = kernel.activations;
  const size_t row_size = activation_row_bytes(form.element, k);
  std::vector<std::byte> prepared(row_size * x.size());
  std::vector<const std::byte*> left;
  for (int64_t r = 0; r < rows; r += form.tile) {
    const int64_t count = std::min(form.tile, rows - r);
    std::vector<const float*> from;
    for (int64_t m = 0; m < count; ++m) from.push_back(x[static_cast<size_t>(r + m)].data());
    std::byte* tile = prepared.data() + static_cast<size_t>(r) * row_size;
    prepare_activations(form.element, from.data(), count, k, tile);
    left.push_back(tile);
  }
  // Kernels may write whole panels.
  std::vector<std::vector<float>> out(x.size(), std::vector<float>(static_cast<size_t>(align_up(columns, 64))));
  std::vector<float*> to;
  for (std::vector<float>& row : out) to.push_back(row.data());
  std::vector<std::byte> scratch(kernel.scratch_bytes + kCacheLine);
  const ProductArgs args{
      .format = format,
      .k = k,
      .right = packed.right.data(),
      .columns = columns,
      .left = left.data(),
      .rows = rows,
      .out = to.data(),
      .scratch = reinterpret_cast<std::byte*>(align_up(reinterpret_cast<size_t>(scratch.data()), kCacheLine))};
  EXPECT_EQ(kernel.run(args), kernel.name);
  return out;
}

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

// Numbers of left-hand rows within the kernel's range: those up to its tiles' ends, and more.
std::vector<size_t> row_counts(const ProductKernel& kernel) {
  std::vector<size_t> counts;
  for (const int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 18, 23, 24, 25, 36, 41}) {
    if (rows >= kernel.first_rows && rows <= kernel.last_rows) counts.push_back(static_cast<size_t>(rows));
  }
  return counts;
}

// Calls check(got, want, absolute) for each sum.
template <class Check>
void check_sums(const ProductKernel& kernel, Format format, const std::vector<std::byte>& weights, size_t outputs,
                const Activations& x, const Check& check) {
  const Sums want = scalar_sums(kernel, format, weights, outputs, x);
  const auto got =
      kernel_sums(kernel, format, packed_for(kernel, format, weights, outputs, x.front().size()), outputs, x);
  for (size_t m = 0; m < x.size(); ++m) {
    for (size_t j = 0; j < outputs; ++j) check(got[m][j], want.sum[m][j], want.absolute[m][j]);
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
  for_each_kernel([](const ProductKernel& kernel, Format format) {
    std::mt19937_64 random(5);
    const size_t block = info(format).block_elements;
    // Whole blocks; for formats without, lengths around those of vectors.
    std::vector<size_t> lengths = {block, 2 * block, 3 * block, 7 * block};
    if (block == 1) lengths = {1, 3, 16, 31, 33, 100};
    for (const size_t k : lengths) {
      for (const size_t outputs : {size_t{1}, size_t{5}, size_t{16}, size_t{49}, size_t{65}}) {
        std::vector<std::byte> weights(outputs * row_bytes(format, k));
        if (block > 1) {
          random_blocks(format, static_cast<int64_t>(outputs * k), 1, 0, [&] { return random(); }, weights.data());
        } else {
          std::vector<float> elements(outputs * k);
          for (float& v : elements) v = static_cast<float>(random() % 20001) / 10000 - 1;
          encode_row(format, elements.data(), elements.size(), weights.data());
        }
        for (const size_t rows : row_counts(kernel)) {
          if (outputs > 5 && rows > 13 && rows != 25) continue;
          Activations x(rows, std::vector<float>(k));
          for (std::vector<float>& row : x) {
            for (float& v : row) v = static_cast<float>(random() % 20001) / 10000 - 1;
          }
          check_sums(kernel, format, weights, outputs, x,
                     [](float got, double want, double absolute) { EXPECT_NEAR(got, want, 1e-6 * absolute); });
        }
      }
    }
  });
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

// The products of one row of the kernel table against plain scalar forms of the same: elements that decode_row gives,
// times activations, as the kernel reads them (ops/contract/reference.h), summed in double.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/align.h"
#include "ops/contract/activations.h"
#include "ops/contract/reference.h"
#include "ops/cpu/kernel_table.h"
#include "ops/harness/random_blocks.h"

namespace weft {

using Activations = std::vector<std::vector<float>>;  // rows

struct Sums {
  std::vector<std::vector<double>> sum, absolute;  // by left-hand row and output
};

inline bool is_int8(const ProductKernel& kernel) { return kernel.activations.element == ActivationElement::int8; }

inline bool is_bf16(const ProductKernel& kernel) { return kernel.activations.element == ActivationElement::bf16; }

inline std::vector<double> as_read(const ProductKernel& kernel, const std::vector<float>& row) {
  if (is_int8(kernel)) return reference::quantized(row);
  std::vector<double> read(row.begin(), row.end());
  if (is_bf16(kernel)) std::transform(read.begin(), read.end(), read.begin(), reference::to_bf16);
  return read;
}

inline Sums scalar_sums(const ProductKernel& kernel, Format format, const std::vector<std::byte>& weights,
                        size_t outputs, const Activations& x) {
  const size_t k = x.front().size();
  std::vector<std::vector<float>> rows(outputs, std::vector<float>(k));
  for (size_t j = 0; j < outputs; ++j) {
    decode_row(format, weights.data() + j * row_bytes(format, k), k, rows[j].data());
    if (!is_bf16(kernel)) continue;
    for (float& element : rows[j]) element = static_cast<float>(reference::to_bf16(static_cast<double>(element)));
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

inline Packed packed_for(const ProductKernel& kernel, Format format, const std::vector<std::byte>& weights,
                         size_t outputs, size_t k) {
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
    to.pack_groups(weights.data() + to.stored_at(g), g, 1, group);
    packed.right.push_back(group);
  }
  return packed;
}

inline std::vector<std::vector<float>> kernel_sums(const ProductKernel& kernel, Format format, const Packed& packed,
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

// Numbers of left-hand rows within the kernel's range: those up to its tiles' ends, and more.
inline std::vector<size_t> row_counts(const ProductKernel& kernel) {
  std::vector<size_t> counts;
  for (const int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 16, 17, 18, 23, 24, 25, 32, 33, 36, 41, 70}) {
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

// "" where all sums of a kernel with a format are right: lengths of rows around those of vectors, numbers of outputs
// and of left-hand rows around those of tiles. Else the first that is wrong.
inline std::string product_error(const ProductKernel& kernel, Format format) {
  std::mt19937_64 random(5);
  const size_t block = info(format).block_elements;
  std::vector<size_t> lengths = {block, 2 * block, 3 * block, 7 * block};
  if (block == 1) lengths = {1, 3, 16, 31, 33, 100};
  std::string error;
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
      std::vector<size_t> counts = row_counts(kernel);
      // More than a pass has.
      if (kernel.last_rows > 600 && outputs == 5 && k == lengths.front()) counts.push_back(601);
      for (const size_t rows : counts) {
        if (outputs > 5 && rows > 13 && rows != 25) continue;
        Activations x(rows, std::vector<float>(k));
        for (std::vector<float>& row : x) {
          for (float& v : row) v = static_cast<float>(random() % 20001) / 10000 - 1;
        }
        // Decoded weights that differ in their last bits may be rounded to another bf16, 2^-8 of them away: a few do.
        const double tolerance = is_bf16(kernel) && !kernel.layout.is_stored() ? 2e-4 : 1e-6;
        check_sums(kernel, format, weights, outputs, x, [&](float got, double want, double absolute) {
          if (!error.empty() || std::fabs(static_cast<double>(got) - want) <= tolerance * absolute) return;
          error = kernel.name + ", " + std::string(name(format)) + ", " + std::to_string(rows) + " x " +
                  std::to_string(outputs) + " x " + std::to_string(k) + ": " + std::to_string(got) + ", expected " +
                  std::to_string(want) + " of " + std::to_string(absolute);
        });
      }
    }
  }
  return error;
}

}  // namespace weft

// The fused attention kernel against the double-precision reference: the whole case table, on every Highway
// target, with one thread and several.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <utility>

#include "ops/attention/bf16_products.h"
#include "ops/attention/cases.h"
#include "ops/attention/kernels.h"
#include "ops/cpu/decode_tile.h"
#include "ops/cpu/machine_limits.h"
#include "ops/harness/reference.h"
#include "ops/harness/run_cpu.h"
#include "tests/targets.h"

namespace weft {
namespace {

TEST(Attention, AgreesWithReference) {
  for (const StepCase& step_case : attention_case_table()) {
    SCOPED_TRACE(step_case.name());
    const Outputs want = run_reference(step_case);
    const Tolerance tolerance{.absolute = 1e-5};
    on_every_target(
        [&] { EXPECT_EQ(compare(step_case, run_cpu(step_case, Precision::exact, 1), want, tolerance), ""); });
    for (const int threads : {2, 3}) {
      EXPECT_EQ(compare(step_case, run_cpu(step_case, Precision::exact, threads), want, tolerance), "");
    }
  }
}

// `fast` may round queries, keys, weights and values to bf16, 2^-9 of each at most: of scores that are sums of up to
// 256 products of elements up to 1, and of means of values up to 1. Errors mostly cancel.
constexpr Tolerance kBf16{.absolute = 0.01};

TEST(Attention, FastIsNear) {
  for (const StepCase& step_case : attention_case_table()) {
    SCOPED_TRACE(step_case.name());
    const Outputs want = run_reference(step_case);
    for (const int threads : {1, 2, 3}) {
      EXPECT_EQ(compare(step_case, run_cpu(step_case, Precision::fast, threads), want, kBf16), "");
    }
  }
}

// Widths around a tile's row and a group of columns, of few rows and of many, and others of values.
TEST(Attention, FastOfAllWidthsAndFormats) {
  const std::vector<int64_t> widths = {1, 15, 17, 31, 33, 48, 64, 80, 96, 128, 256};
  for (const Format format : {Format::f32, Format::f16, Format::bf16, Format::q8_0}) {
    const auto block = static_cast<int64_t>(info(format).block_elements);
    for (size_t i = 0; i < widths.size(); ++i) {
      const int64_t width = widths[i], value_width = block == 1 ? widths[widths.size() - 1 - i] : width;
      if (width % block != 0) continue;
      for (const auto& [group, rows] : {std::pair{3, 1}, {8, 1}, {16, 1}, {7, 9}}) {
        const StepCase step_case = attention_case({.sequences = {{67, rows}, {33, 1}},
                                                   .heads = 3,
                                                   .group = group,
                                                   .head_dim = width,
                                                   .value_dim = value_width,
                                                   .value = format,
                                                   .keys = format});
        EXPECT_EQ(compare(step_case, run_cpu(step_case, Precision::fast, 2), run_reference(step_case), kBf16), "");
      }
    }
  }
}

// A bf16 rounds what an f32 still holds to infinity; then the products are computed in f32.
TEST(Attention, FastKeepsTheLargestValues) {
  for (const int32_t rows : {1, 40}) {
    StepCase step_case = attention_case({.sequences = {{1, rows}}, .group = 8, .score = kScaled, .paged = false});
    const Region& region = step_case.step().regions[0];
    const Operand& value = region.operands[static_cast<size_t>(region.attention->value)];
    std::vector<std::byte>& bytes = step_case.initial[value.value];
    const std::vector<float> largest(bytes.size() / sizeof(float), std::numeric_limits<float>::max() * 0.9995f);
    std::memcpy(bytes.data(), largest.data(), bytes.size());
    EXPECT_EQ(compare(step_case, run_cpu(step_case, Precision::fast), run_reference(step_case), {.relative = 1e-5}),
              "");
  }
}

// Which kernel is announced is which one runs, and what its products are measured by.
TEST(Attention, SaysWhatComputesItsProducts) {
  const auto runs_in_bf16 = [](const AttentionShape& shape, Precision precision) {
    const StepCase step_case = attention_case(shape);
    std::set<std::string> ran;
    run_cpu(step_case, precision, 2, nullptr, &ran);
    EXPECT_EQ(ran.size(), 1u);
    const std::vector<KernelRange> kernels = cpu_kernels(step_case, precision);
    const bool announced = std::any_of(kernels.begin(), kernels.end(),
                                       [&](const KernelRange& kernel) { return kernel.name == *ran.begin(); });
    EXPECT_TRUE(announced) << *ran.begin() << ", of " << kernel_text(kernels);
    const bool in_bf16 = ran.begin()->find("bf16") != std::string::npos;
    EXPECT_EQ(peak_unit_of(*ran.begin()), in_bf16 ? PeakUnit::amx : PeakUnit::fma);
    return in_bf16;
  };
  const bool has = bf16_products() != nullptr;
  EXPECT_EQ(runs_in_bf16({.sequences = {{70, 1}}, .group = 8}, Precision::fast), has);
  EXPECT_EQ(runs_in_bf16({.sequences = {{70, 20}}, .group = 1}, Precision::fast), has);
  EXPECT_FALSE(runs_in_bf16({.sequences = {{70, 1}}, .group = 1}, Precision::fast));
  EXPECT_FALSE(runs_in_bf16({.sequences = {{70, 20}}, .group = 8, .contracts = false}, Precision::fast));
  EXPECT_FALSE(runs_in_bf16({.sequences = {{70, 20}}, .group = 8}, Precision::exact));
}

// The kernel for scaled causal scores and the one for any program say the same.
TEST(Attention, CausalPatternAgreesWithTheProgram) {
  for (const int32_t keys : {1, 64, 100}) {
    for (const bool paged : {false, true}) {
      const AttentionShape shape{.sequences = {{keys, (keys + 1) / 2}}, .score = kCausal, .paged = paged};
      const StepCase fast = attention_case(shape);
      StepCase general = fast;
      Step& step = general.graph.steps[0];
      // The same score after a double negation.
      ScalarProgram& program = step.regions[0].body.program;
      const uint16_t negated = program.add({.op = ScalarOp::neg, .type = Element::f32, .a = program.result()});
      program.add({.op = ScalarOp::neg, .type = Element::f32, .a = negated});
      on_every_target([&] { EXPECT_EQ(compare(fast, run_cpu(fast), run_cpu(general), {.absolute = 1e-6}), ""); });
    }
  }
}

// What attention reads of keys and values that lie in pages: rows of any float format, wherever they begin.
TEST(Attention, RowsAreDecodedAsOneByOne) {
  std::mt19937_64 random(3);
  for (const Format format : kFloatFormats) {
    const auto block = static_cast<int64_t>(info(format).block_elements);
    for (const int64_t width : {1, 2, 15, 16, 17, 31, 32, 33, 48, 80, 128}) {
      const int64_t elements = width * block, rows = 5;
      const size_t bytes = row_bytes(format, static_cast<size_t>(elements));
      std::vector<float> values(static_cast<size_t>(elements * rows)), want(values.size()), got(values.size());
      for (float& x : values) x = static_cast<float>(static_cast<double>(random() % 2001) / 1e3 - 1);
      std::vector<std::byte> stored(bytes * static_cast<size_t>(rows));
      encode_row(format, values.data(), values.size(), stored.data());
      decode_row(format, stored.data(), want.size(), want.data());
      std::vector<std::vector<std::byte>> apart;
      std::vector<const std::byte*> pointers;
      for (int64_t r = 0; r < rows; ++r) {
        const auto first = stored.begin() + static_cast<std::ptrdiff_t>(bytes) * r;
        apart.emplace_back(first, first + static_cast<std::ptrdiff_t>(bytes));
        pointers.push_back(apart.back().data());
      }
      on_every_target([&] {
        decode_rows(format, pointers.data(), rows, elements, got.data());
        for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-6) << name(format) << " " << width;
      });
      if (block > 64 && width > 16) break;
    }
  }
}

TEST(Attention, PackedSequencesGiveWhatSingleOnesGive) {
  const std::vector<CaseSequence> sequences = {{1, 1}, {7, 7}, {64, 64}, {50, 1}};
  const StepCase packed = attention_case({.sequences = sequences});
  const Outputs all = run_cpu(packed, Precision::exact, 2);
  const Region& region = packed.step().regions[0];
  const auto* outputs = reinterpret_cast<const float*>(all[0].data());
  int64_t row = 0;
  for (size_t s = 0; s < sequences.size(); ++s) {
    StepCase single = packed;  // the same pools, with the rows of one sequence only
    const int64_t rows = sequences[s].rows;
    const AxisId pos = packed.graph.caches[0].pos;
    single.extents[pos] = rows;
    for (const Operand& operand : region.operands) {
      const ValueRecord& value = packed.graph.values[operand.value];
      if (value.kind != ValueKind::input || value.axes.front() != pos) continue;
      const size_t bytes = packed.initial[operand.value].size() / static_cast<size_t>(packed.extents[pos]);
      std::vector<std::byte>& initial = single.initial[operand.value];
      std::copy_n(packed.initial[operand.value].begin() + row * static_cast<int64_t>(bytes),
                  rows * static_cast<int64_t>(bytes), initial.begin());
    }
    const ValueId seq = packed.graph.caches[0].seq;
    std::copy_n(packed.initial[seq].begin() + row * 4, rows * 4, single.initial[seq].begin());
    const Outputs one = run_cpu(single, Precision::exact, 1);
    const auto* got = reinterpret_cast<const float*>(one[0].data());
    const int64_t width = 2 * 2 * 16;
    for (int64_t i = 0; i < rows * width; ++i) ASSERT_NEAR(got[i], outputs[row * width + i], 1e-6) << "sequence " << s;
    row += rows;
  }
}

}  // namespace
}  // namespace weft

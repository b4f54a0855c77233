// The fused attention kernel against the double-precision reference: the whole case table, on every Highway
// target, with one thread and several.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "ops/attention/cases.h"
#include "ops/attention/kernels.h"
#include "ops/cpu/decode_tile.h"
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

// `fast` may round queries, keys, values and weights to bf16, 2^-9 of each: products of 16 to 128 elements of up to 1,
// and sums of values up to 1.
TEST(Attention, FastIsNear) {
  for (const StepCase& step_case : attention_case_table()) {
    SCOPED_TRACE(step_case.name());
    const Outputs want = run_reference(step_case);
    for (const int threads : {1, 2, 3}) {
      EXPECT_EQ(compare(step_case, run_cpu(step_case, Precision::fast, threads), want, {.absolute = 0.01}), "");
    }
  }
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

// The fused attention kernel against the double-precision reference: the whole case table, on every Highway
// target, with one thread and several.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "ops/attention/cases.h"
#include "ops/attention/kernels.h"
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

// 1000 generated steps on the CPU kernels against the reference. A failing one is printed as code to paste into a
// test. WEFT_SEED=<n> runs seed n only; WEFT_SEEDS=<n> runs n seeds.
#include "ops/harness/random_steps.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <set>
#include <string>

#include "core/error.h"
#include "core/record/verify.h"
#include "core/record/visit.h"
#include "ops/harness/fast_reference.h"
#include "ops/harness/reference.h"
#include "ops/harness/run_cpu.h"
#include "tests/targets.h"

namespace weft {
namespace {

constexpr int kMaxFailures = 5;

// Seeds that the environment asks for, else 1 .. 1000.
std::pair<uint64_t, uint64_t> seeds() {
  if (const char* one = std::getenv("WEFT_SEED")) {
    const uint64_t seed = std::strtoull(one, nullptr, 10);
    return {seed, seed};
  }
  const char* count = std::getenv("WEFT_SEEDS");
  return {1, count ? std::strtoull(count, nullptr, 10) : 1000};
}

void check_kind(StepKind kind) {
  const auto [first, last] = seeds();
  int failures = 0;
  int checked = 0;
  for (uint64_t seed = first; seed <= last && failures < kMaxFailures; ++seed) {
    const RandomStep step = random_step(seed);
    const StepCase& step_case = step.step_case;
    if (step_case.step().kind != kind) continue;
    ++checked;
    const auto fail = [&](const std::string& what) {
      ++failures;
      ADD_FAILURE() << "seed " << seed << ": " << what << "\n" << step.code;
    };
    try {
      verify(step_case.graph);
      const Outputs want = run_reference(step_case);
      for (const int threads : {1, 2}) {
        const std::string difference =
            compare(step_case, run_cpu(step_case, Precision::exact, threads), want, step.tolerance);
        if (!difference.empty()) {
          fail(std::to_string(threads) + " threads: " + difference);
          break;
        }
      }
    } catch (const Error& error) {
      fail(error.what());
    }
  }
  if (first != last) {
    EXPECT_GT(checked, 0);
  }
}

TEST(RandomSteps, Map) { check_kind(StepKind::map); }
TEST(RandomSteps, Reduce) { check_kind(StepKind::reduce); }
TEST(RandomSteps, Contract) { check_kind(StepKind::contract); }
TEST(RandomSteps, Attention) { check_kind(StepKind::attention); }
TEST(RandomSteps, Append) { check_kind(StepKind::append); }

// `check` says what is wrong with the step of a seed, "" if nothing. Every n-th seed.
void check_contractions(const std::function<std::string(const RandomStep&)>& check, uint64_t n, double lhs_rounding) {
  const auto [first, last] = seeds();
  int failures = 0;
  for (uint64_t seed = first; seed <= last && failures < kMaxFailures; seed += n) {
    const RandomStep step = random_step(seed, StepKind::contract, lhs_rounding);
    std::string difference;
    try {
      difference = check(step);
    } catch (const Error& error) {
      difference = error.what();
    }
    if (difference.empty()) continue;
    ++failures;
    ADD_FAILURE() << "seed " << seed << ": " << difference << "\n" << step.code;
  }
}

// `fast` may round activations to bf16 (2^-9) or to int8 blocks (1/254 of a block's largest).
TEST(RandomSteps, FastContractions) {
  check_contractions(
      [](const RandomStep& step) {
        const Outputs got = run_cpu(step.step_case, Precision::fast, 2);
        return compare(step.step_case, got, run_reference(step.step_case), step.tolerance);
      },
      3, 1.0 / 127);
}

// The bounds of exact kernels hold against a reference that quantizes activations as `fast` does, where they are read
// as they are, so that the integers are the very same. Only steps of one contraction: of several, the kernel's name
// does not tell which one reads blocks where the other has a copy in f32.
TEST(RandomSteps, FastContractionsAgainstQuantizedReference) {
  int quantized = 0;
  check_contractions(
      [&](const RandomStep& step) -> std::string {
        const Region& region = step.step_case.step().regions[0];
        const bool as_is = region.lhs[0].reductions.empty() && region.lhs[0].program.code.size() == 1;
        if (!step.block_weights || !as_is || region.contractions.size() > 1) return "";
        const Outputs want = run_fast_reference(step.step_case);
        quantized += want != run_reference(step.step_case);
        return compare(step.step_case, run_cpu(step.step_case, Precision::fast, 2), want, step.tolerance);
      },
      1, 1e-12);
  if (std::getenv("WEFT_SEED") == nullptr && std::getenv("WEFT_SEEDS") == nullptr) {
    EXPECT_GT(quantized, 5);
  }
}

TEST(RandomSteps, EveryTarget) {
  on_every_target([] {
    int failures = 0;
    for (uint64_t seed = 2001; seed <= 2200 && failures < kMaxFailures; ++seed) {
      const RandomStep step = random_step(seed);
      const Outputs got = run_cpu(step.step_case, Precision::exact, 1);
      const std::string difference = compare(step.step_case, got, run_reference(step.step_case), step.tolerance);
      if (difference.empty()) continue;
      ++failures;
      ADD_FAILURE() << "seed " << seed << ": " << difference << "\n" << step.code;
    }
  });
}

// The generator is of use only while it reaches everything.
TEST(RandomSteps, ReachEveryOpFormatAndShape) {
  std::set<ScalarOp> ops;
  std::multiset<Format> contracted;
  std::set<int64_t> extents;
  std::set<ReduceOp> reductions;
  int nonfinite = 0, empty = 0, rotated = 0, selected = 0, argmax = 0, gathered_weights = 0, paged = 0, two = 0,
      statistics = 0, sinks = 0, normalized = 0;
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    const RandomStep step = random_step(seed);
    const GraphRecord& graph = step.step_case.graph;
    nonfinite += step.nonfinite;
    for_each_program(graph.steps[0], [&](const ScalarProgram& program) {
      for (const ScalarInstr& instr : program.code) ops.insert(instr.op);
    });
    for_each_source(graph.steps[0], [&](const Source& source) {
      for (const Reduction& reduction : source.reductions) reductions.insert(reduction.op);
    });
    for (const Region& region : graph.steps[0].regions) {
      for (const AxisId axis : region.axes) {
        extents.insert(step.step_case.extents[axis]);
        empty += step.step_case.extents[axis] == 0;
      }
      two += region.contractions.size() > 1;
      for (const Contraction& contraction : region.contractions) {
        const Operand& rhs = region.operands[static_cast<size_t>(contraction.rhs)];
        contracted.insert(graph.values[rhs.value].format);
        gathered_weights +=
            std::any_of(rhs.view.begin(), rhs.view.end(), [](const ViewAxis& a) { return a.gather >= 0; });
      }
      statistics += region.attention && region.attention->statistics;
      sinks += region.attention && !region.attention->sink.empty();
      normalized += !region.contractions.empty() && !region.body.reductions.empty();
      rotated += region.rotation.has_value();
      selected += region.selection.has_value();
      argmax += region.selection && region.selection->choice == kNoAxis;
    }
    paged += !graph.caches.empty();
  }
  for (int op = 0; op < kScalarOpCount; ++op) {
    EXPECT_TRUE(ops.count(static_cast<ScalarOp>(op))) << name(static_cast<ScalarOp>(op));
  }
  for (const Format format : kFloatFormats) {
    EXPECT_GE(contracted.count(format), 3u) << name(format);
  }
  for (const int64_t extent : {0, 1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65}) {
    EXPECT_TRUE(extents.count(extent)) << extent;
  }
  EXPECT_EQ(reductions.size(), 4u);
  for (const int count :
       {nonfinite, empty, rotated, selected, argmax, gathered_weights, paged, two, statistics, sinks, normalized})
    EXPECT_GE(count, 10);
}

}  // namespace
}  // namespace weft

// Contraction kernels against the double-precision reference: the whole case table, on every Highway target, with
// one thread and two; and the raw kernels.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <string>

#include "ops/contract/cases.h"
#include "ops/contract/kernels.h"
#include "ops/contract/pass.h"
#include "ops/cpu/decode_tile.h"
#include "ops/harness/fast_reference.h"
#include "ops/harness/random_blocks.h"
#include "ops/harness/reference.h"
#include "ops/harness/run_cpu.h"
#include "tests/targets.h"

namespace weft {
namespace {

TEST(Contract, AgreesWithReference) {
  for (const StepCase& step_case : contract_case_table()) {
    SCOPED_TRACE(step_case.name());
    const Outputs want = run_reference(step_case);
    const Tolerance tolerance{.magnitude = absolute_sum(step_case)};
    on_every_target(
        [&] { EXPECT_EQ(compare(step_case, run_cpu(step_case, Precision::exact, 1), want, tolerance), ""); });
    EXPECT_EQ(compare(step_case, run_cpu(step_case, Precision::exact, 2), want, tolerance), "");
  }
}

// Against a reference that rounds as kernels do, with the bounds of exact kernels: the rounded numbers are the very
// same. (Where a norm comes before, f32 rounding may move an element over a tie, by one step of 1/127 in one of k
// products.) And against the exact one: an error of half a step of 1/127 of a block's largest element, in each of k
// products.
TEST(Contract, FastAgreesWithRoundedReference) {
  size_t rounded = 0;
  for (const StepCase& step_case : contract_case_table()) {
    if (step_case.name().starts_with("nonfinite weight")) continue;  // see below
    SCOPED_TRACE(step_case.name());
    const Region& region = step_case.step().regions[0];
    const Outputs exact = run_reference(step_case);
    RoundedProducts products = rounded_products(step_case);
    Outputs want = run_reference(step_case, products);
    rounded += want != exact;
    const double magnitude = absolute_sum(step_case);
    const Tolerance tight{.absolute = region.lhs[0].reductions.empty() ? 2e-6 : 1e-3, .magnitude = magnitude};
    const Tolerance loose{.absolute = 0.01, .relative = 0.02, .magnitude = magnitude};
    const bool chooses = region.selection || region.body.program.type() != Element::f32;
    const auto check = [&](int threads) {
      // Kernels that round in another way may be picked for this target.
      if (RoundedProducts now = rounded_products(step_case); now != products) {
        want = run_reference(step_case, now);
        products = std::move(now);
      }
      const auto* sums = reinterpret_cast<const float*>(want[0].data());
      const bool finite =
          std::none_of(sums, sums + want[0].size() / sizeof(float), [](float x) { return std::isnan(x); });
      const Outputs got = run_cpu(step_case, Precision::fast, threads);
      EXPECT_EQ(compare(step_case, got, want, tight), "");
      if (chooses || !finite) return;  // a block of activations that holds an infinity is NaN
      EXPECT_EQ(compare(step_case, got, exact, loose), "");
    };
    on_every_target([&] { check(1); });
    check(2);
  }
  EXPECT_GT(rounded, 100u);
}

// Lines that a tile holds are normalized there, others in a second phase; which one is announced is which one runs.
TEST(Contract, SaysWhereANormIsComputed) {
  const auto where = [](const NormEpilogueShape& shape) {
    const StepCase step_case = norm_epilogue_case(shape);
    std::set<std::string> announced, ran;
    for (const KernelRange& kernel : cpu_kernels(step_case, Precision::exact)) {
      if (kernel.name.starts_with("norm/")) announced.insert(kernel.name);
    }
    run_cpu(step_case, Precision::exact, 2, nullptr, &ran);
    std::erase_if(ran, [](const std::string& name) { return !name.starts_with("norm/"); });
    EXPECT_EQ(ran, announced) << step_case.name();
    return announced;
  };
  using Names = std::set<std::string>;
  const int64_t widest = ContractPass::kMaxColumns;
  EXPECT_EQ(where({.rows = 3, .dim = 64}), Names{"norm/tiles"});
  EXPECT_EQ(where({.rows = 3, .dim = widest, .format = Format::q8_0}), Names{"norm/tiles"});
  EXPECT_EQ(where({.rows = 3, .dim = widest + 32, .format = Format::q8_0}), Names{"norm/stored"});
  EXPECT_EQ(where({.rows = 3, .along = 1}), Names{"norm/stored"});
  EXPECT_EQ(where({.rows = 3, .along = 0}), Names{"norm/stored"});
  EXPECT_EQ(where({.rows = 3, .scaled_rows = true}), Names{"norm/stored"});
  // A rotation of wider lines than a tile's follows a norm in tiles.
  EXPECT_EQ(where({.rows = 3, .heads = 4, .dim = 200, .rotated = 1}), Names{"norm/tiles"});
}

// The kernels for blocks quantize the activations of a few rows, and round something of any number.
TEST(Contract, FastRoundsWhatMeetsEveryBlockFormat) {
  for (const Format format : kBlockFormats) {
    for (const int64_t rows : {1, 2, 3, 40}) {
      const StepCase step_case = linear_case(rows, 5, 512, format);
      const RoundedProducts rounded = rounded_products(step_case);
      ASSERT_EQ(rounded.size(), 1u) << name(format);
      EXPECT_EQ(rounded.begin()->second.front().rounding, reference::Rounding::int8) << name(format);
      EXPECT_NE(run_fast_reference(step_case), run_reference(step_case)) << name(format) << " " << rows;
    }
  }
  EXPECT_TRUE(rounded_products(linear_case(1, 5, 512, Format::f32)).empty());
}

// Many rows of which each chooses no expert at all: zeros, and nothing is written beyond the tiles.
TEST(Contract, SumsOverNoExperts) {
  for (const Format format : {Format::f32, Format::q8_0}) {
    CaseBuilder c(StepKind::contract, "no experts");
    const AxisId pos = c.axis("pos", 100), choice = c.axis("choice", 0), expert = c.axis("expert", 3),
                 out = c.axis("out", 700), in = c.axis("in", 32);
    const int ids = c.operand(c.ids("ids", {pos, choice}, 0, 3));
    const int lhs = c.lhs(c.operand(c.input("x", {pos, choice, in})));
    const int w = c.operand(c.weight("w", {expert, out, in}, format), {gathered(expert, ids), whole(out), whole(in)});
    ScalarBuilder body;
    c.contraction(lhs, w, {choice, in});
    c.body({pos, out}, body.finish(body.contraction(0)));
    const StepCase step_case = c.build();
    for (const int threads : {1, 2}) {
      EXPECT_EQ(compare(step_case, run_cpu(step_case, Precision::exact, threads), run_reference(step_case), {}), "");
    }
  }
}

// Each row of the table that this machine can run, chosen or not, over the whole case table.
TEST(Contract, EveryKernelOfTheTableAgreesWithReference) {
  std::map<std::string, size_t> served;
  for (const StepCase& step_case : contract_case_table()) {
    if (step_case.name().starts_with("nonfinite weight")) continue;  // see below
    SCOPED_TRACE(step_case.name());
    const Outputs exact = run_reference(step_case);
    const double magnitude = absolute_sum(step_case);
    const bool has_norm = !step_case.step().regions[0].lhs[0].reductions.empty();
    for (const ProductKernel* kernel : kernel_table().products()) {
      if (!kernel->is_available()) continue;
      SCOPED_TRACE(kernel->name);
      const bool rounds = !kernel->serves(Precision::exact);
      const Precision precision = rounds ? Precision::fast : Precision::exact;
      const auto announced = cpu_kernels(step_case, precision, kernel);
      if (std::ranges::none_of(announced, [&](const KernelRange& range) { return range.name == kernel->name; }))
        continue;
      const Outputs want = rounds ? run_fast_reference(step_case, kernel) : exact;
      const Tolerance tolerance{.absolute = rounds && has_norm ? 1e-3 : 2e-6, .magnitude = magnitude};
      std::set<std::string> ran;
      EXPECT_EQ(compare(step_case, run_cpu(step_case, precision, 2, kernel, &ran), want, tolerance), "");
      served[kernel->name] += ran.contains(kernel->name);
    }
  }
  for (const ProductKernel* kernel : kernel_table().products()) {
    if (kernel->is_available()) EXPECT_GT(served[kernel->name], 0u) << kernel->name;
    else GTEST_LOG_(INFO) << "not on this machine: " << kernel->name << " needs " << kernel->features;
  }
}

// A block whose scale is no number or infinite: the sum is not finite where the exact one is not, and near elsewhere.
TEST(Contract, FastKeepsNonfiniteWeights) {
  size_t finite = 0, nonfinite = 0;
  for (const Format format : kBlockFormats) {
    const StepCase step_case = linear_case(2, 40, 512, format, 4, {}, {.nonfinite = 0.1});
    const Outputs want = run_reference(step_case);
    const auto* reference = reinterpret_cast<const float*>(want[0].data());
    const double near = 0.01 * absolute_sum(step_case);
    on_every_target([&] {
      const Outputs got = run_cpu(step_case, Precision::fast, 1);
      const auto* sums = reinterpret_cast<const float*>(got[0].data());
      for (size_t i = 0; i < want[0].size() / 4; ++i) {
        ASSERT_EQ(std::isfinite(sums[i]), std::isfinite(reference[i])) << name(format) << " " << i;
        ++(std::isfinite(sums[i]) ? finite : nonfinite);
        if (std::isfinite(near) && std::isfinite(sums[i])) {
          EXPECT_NEAR(sums[i], reference[i], near);
        }
      }
    });
  }
  EXPECT_GT(finite, 100u);
  EXPECT_GT(nonfinite, 100u);
}

TEST(Contract, DecodesBitForBit) {
  std::mt19937 random(7);
  for (const Format format : kFloatFormats) {
    SCOPED_TRACE(name(format));
    const size_t block = info(format).block_elements;
    for (const size_t count : {size_t{0}, block, 3 * block, size_t{4096}}) {
      // Any bits, infinities and NaNs included.
      std::vector<uint8_t> bytes(row_bytes(format, count));
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
      std::vector<float> want(count), got(count);
      decode_row(format, bytes.data(), count, want.data());
      on_every_target([&] {
        std::fill(got.begin(), got.end(), 7.0f);
        decode_elements(format, reinterpret_cast<const std::byte*>(bytes.data()), 0, static_cast<int64_t>(count),
                        got.data());
        for (size_t i = 0; i < count; ++i) {
          if (std::isnan(want[i])) EXPECT_TRUE(std::isnan(got[i])) << i;
          else EXPECT_EQ(std::bit_cast<uint32_t>(want[i]), std::bit_cast<uint32_t>(got[i])) << i;
        }
      });
    }
  }
}

// All 65536 halves, as scales and as elements.
TEST(Contract, DecodesEveryHalf) {
  std::vector<uint16_t> halves(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  std::vector<float> got(halves.size());
  on_every_target([&] {
    decode_elements(Format::f16, reinterpret_cast<const std::byte*>(halves.data()), 0, 65536, got.data());
    int wrong = 0;
    for (size_t i = 0; i < halves.size(); ++i) {
      const float want = f16_to_f32(halves[i]);
      wrong +=
          std::isnan(want) ? !std::isnan(got[i]) : std::bit_cast<uint32_t>(want) != std::bit_cast<uint32_t>(got[i]);
    }
    EXPECT_EQ(wrong, 0);
  });
}

// A row's result must not depend on how many rows run beside it.
TEST(Contract, RowsDoNotDependOnTheirNumber) {
  for (const Format format : {Format::f32, Format::q8_0}) {
    const int64_t k = 768, outputs = 50;
    const StepCase many = linear_case(61, outputs, k, format);
    const Outputs want = run_cpu(many, Precision::exact, 2);
    const auto* all = reinterpret_cast<const float*>(want[0].data());
    float largest = 0;
    for (int64_t i = 0; i < 61 * outputs; ++i) largest = std::fmax(largest, std::fabs(all[i]));
    const ValueId x = many.step().regions[0].operands[0].value;
    for (const int64_t rows : {1, 3, 24}) {
      StepCase few = linear_case(rows, outputs, k, format);
      const ValueId w = many.step().regions[0].operands[1].value;
      few.initial[w] = many.initial[w];
      for (const int64_t first : {int64_t{0}, 61 - rows}) {
        few.initial[x].assign(many.initial[x].begin() + first * k * 4,
                              many.initial[x].begin() + (first + rows) * k * 4);
        const Outputs got = run_cpu(few, Precision::exact, 1);
        const auto* some = reinterpret_cast<const float*>(got[0].data());
        for (int64_t i = 0; i < rows * outputs; ++i) {
          ASSERT_NEAR(some[i], all[first * outputs + i], 1e-6f * largest) << rows << " rows from " << first;
        }
      }
    }
  }
}

}  // namespace
}  // namespace weft

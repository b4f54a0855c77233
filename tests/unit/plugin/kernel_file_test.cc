// Kernels that are declared by weft_kernel.h: in the table, in plans, and what is refused.
#include <gtest/gtest.h>

#include "core/error.h"
#include "models/axes.h"
#include "ops/harness/reference.h"
#include "ops/harness/run_cpu.h"
#include "ops/ops.h"
#include "ops/plugin/cases.h"
#include "ops/plugin/plugin.h"
#include "runtime/plan/plan.h"

static void shifted_product(const weft::Rows& rows) {
  for (int64_t r = rows.first(); r < rows.last(); ++r) {
    const auto x = rows.input(0, r), w = rows.input(1, r);
    const auto out = rows.output(r);
    for (size_t i = 0; i < x.size(); ++i) out[i] = x[i] * 3 + w[i] * rows.constant(0);
  }
}
WEFT_KERNEL(shifted_product, .computes = "x * 3 + w * $c")

static void row_sum(const weft::Rows& rows) {
  for (int64_t r = rows.first(); r < rows.last(); ++r) {
    double sum = 0;
    for (const float v : rows.input(0, r)) sum += static_cast<double>(v);
    rows.output(r)[0] = static_cast<float>(sum);
  }
}
WEFT_KERNEL(row_sum, .computes = "sum(x)")

namespace weft {
namespace {

const std::vector<PluginKernel>& kernels() {
  static const std::vector<PluginKernel> added =
      add_plugin_kernels(weft_kernels(WEFT_KERNEL_VERSION), "the test", PluginPlace::last);
  return added;
}

TEST(KernelFile, AgreesWithTheReferenceInAllCases) {
  ASSERT_EQ(kernels().size(), 2u);
  for (const PluginKernel& kernel : kernels()) {
    SCOPED_TRACE(kernel.name);
    for (const StepCase& step_case : formula_cases(*kernel.formula)) {
      SCOPED_TRACE(step_case.name());
      const Outputs want = run_reference(step_case);
      for (const int threads : {1, 2}) {
        std::set<std::string> ran;
        const CpuRunOptions options{.threads = threads, .forced_step = kernel.step};
        EXPECT_EQ(compare(step_case, run_cpu(step_case, options, &ran), want, {}), "");
        EXPECT_EQ(ran, std::set<std::string>{kernel.name});
      }
    }
  }
}

// Behind the built-in ones it is not used unless it is asked for.
TEST(KernelFile, ComesFirstOrLast) {
  const auto kernel_of = [] {
    Graph graph;
    const auto x = graph.input<f32, Pos, Embed>("x");
    const auto w = graph.input<f32, Embed>("w");
    graph.result(materialize(x * 3.0f + w * 0.5f));
    return compile(Device::cpu(1), graph.record(), Limits().set(graph.axis<Pos>(), 4).set(graph.axis<Embed>(), 8), {})
        .steps()[0]
        .kernel;
  };
  (void)kernels();
  EXPECT_EQ(kernel_of(), "map");
  weft_kernel first = *weft_kernels(WEFT_KERNEL_VERSION);
  while (std::string_view(first.name) != "shifted_product") first = *first.next;
  first.name = "shifted_product_first";
  first.next = nullptr;
  static const weft_kernel kept = first;
  add_plugin_kernels(&kept, "the test", PluginPlace::first);
  EXPECT_EQ(kernel_of(), "shifted_product_first");
}

// Values that do not lie as rows are left to the built-in kernels.
TEST(KernelFile, TakesRowsOnly) {
  const auto serves = [](const StepCase& step_case) {
    return CpuCaseRunner(step_case, {.forced_step = kernels().back().step}).kernels()[0].name == "row_sum" ||
           CpuCaseRunner(step_case, {.forced_step = kernels().front().step}).kernels()[0].name == "row_sum";
  };
  const auto sum_along = [](size_t along, Format format) {
    CaseBuilder c(StepKind::reduce, "sum");
    const std::vector<AxisId> axes = {c.axis("a", 3), c.axis("b", 32)};
    const int x = c.operand(c.input("x", axes, format));
    ScalarBuilder s, map;
    c.body({axes[1 - along]}, map.finish(map.reduction(0)), axes[along], {{ReduceOp::sum, s.finish(s.load(x))}});
    return c.build();
  };
  EXPECT_TRUE(serves(sum_along(1, Format::f32)));
  EXPECT_FALSE(serves(sum_along(0, Format::f32)));
  EXPECT_FALSE(serves(sum_along(1, Format::f16)));
}

TEST(KernelFile, RefusesWhatCannotBeRight) {
  const auto error_of = [](auto change) {
    weft_kernel kernel = *weft_kernels(WEFT_KERNEL_VERSION);
    kernel.next = nullptr;
    kernel.name = "mine";
    change(kernel);
    try {
      add_plugin_kernels(&kernel, "file", PluginPlace::last);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const auto products = [](weft_kernel& kernel) {
    kernel.rows = nullptr;
    kernel.products = [](const weft_products*) {};
    kernel.computes = "contract";
  };
  EXPECT_EQ(error_of([](weft_kernel& k) { k.computes = "x +"; }),
            "file, kernel 'mine': formula 'x +', character 4: a number, a name or '(' is missing");
  EXPECT_EQ(error_of([](weft_kernel& k) { k.computes = nullptr; }), "file, kernel 'mine': 'computes' is missing");
  EXPECT_EQ(error_of([](weft_kernel& k) { k.computes = "contract"; }),
            "file, kernel 'mine': its function is to take weft::Products");
  EXPECT_EQ(error_of([](weft_kernel& k) { k.features = "flux_capacitor"; }),
            "file, kernel 'mine': it needs a CPU with flux_capacitor, which this one lacks");
  EXPECT_EQ(error_of([](weft_kernel& k) { k.name = "f32-dot"; }),
            "file, kernel 'f32-dot': there is a kernel of that name");
  EXPECT_EQ(error_of([&](weft_kernel& k) { products(k); }), "file, kernel 'mine': 'formats' is missing");
  EXPECT_EQ(error_of([&](weft_kernel& k) {
              products(k);
              k.formats = "Q4_0 Q4_9";
            }),
            "file, kernel 'mine': 'formats': there is no format 'Q4_9'");
  EXPECT_EQ(error_of([&](weft_kernel& k) {
              products(k);
              k.formats = "Q4_0";
              k.layout = "x17";
            }),
            "file, kernel 'mine': 'layout' is stored or x16, not 'x17'");
  EXPECT_NE(error_of([&](weft_kernel& k) {
              products(k);
              k.formats = "Q4_0";
              k.tile = 1000;
            }),
            "no error");
  EXPECT_EQ(weft_kernels(WEFT_KERNEL_VERSION + 1), nullptr);
}

}  // namespace
}  // namespace weft

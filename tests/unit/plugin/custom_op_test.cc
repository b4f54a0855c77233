// Ops that only a kernel file knows, in graphs and plans.
#include <gtest/gtest.h>

#include "core/error.h"
#include "models/axes.h"
#include "ops/ops.h"
#include "ops/plugin/plugin.h"
#include "runtime/plan/plan.h"
#include "tests/gpu_device.h"

static void tilt(const weft::Rows& rows) {
  for (int64_t r = rows.first(); r < rows.last(); ++r) {
    const auto x = rows.input(0, r), w = rows.input(1, r);
    for (size_t i = 0; i < x.size(); ++i) rows.output(r)[i] = x[i] + rows.constant(0) * x[0] * w[i];
  }
}

namespace weft {
namespace {

// By hand, not by WEFT_KERNEL, whose list is another test's.
void add_tilt() {
  static const weft_kernel kernel = [] {
    weft_kernel it{};
    it.name = "tilt";
    it.computes = "op tilt(x, w, $by)";
    it.rows = [](const weft_rows* rows) { tilt(Rows(*rows)); };
    it.is_reference = 1;
    return it;
  }();
  static const auto added = add_plugin_kernels(&kernel, "the test", PluginPlace::first);
  ASSERT_EQ(added.size(), 1u);
}

struct Tilted {
  Graph graph;
  Value<f32, Pos, Embed> x = graph.input<f32, Pos, Embed>("x");
  Value<f32, Embed> w = graph.input<f32, Embed>("w");
  Value<f32, Pos, Embed> sum;
  explicit Tilted(const std::string& op) {
    sum = materialize(materialize(custom<Embed>(op, x, w, 2), "tilted") + x, "sum");
    graph.result(sum);
  }
  Plan compile_for(const Device& device) {
    return compile(device, graph.record(), Limits().set(graph.axis<Pos>(), 4).set(graph.axis<Embed>(), 3), {});
  }
};

std::string error_of(const std::string& op, const Device& device) {
  try {
    Tilted(op).compile_for(device);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(CustomOp, RunsInAPlan) {
  add_tilt();
  const float x[] = {1, 2, 3, 10, 20, 30}, w[] = {0, 1, -1}, want[] = {2, 6, 4, 20, 60, 40};
  for (const int threads : {1, 2}) {
    Tilted of("tilt");
    Plan plan = of.compile_for(Device::cpu(threads));
    EXPECT_EQ(plan.steps()[0].kernel, "tilt");
    Bindings bindings = plan.bindings();
    bindings.input(of.x.id(), x, {2, 3});
    bindings.input(of.w.id(), w, {3});
    plan.run(bindings);
    const auto* got = static_cast<const float*>(plan.output(of.sum.id()).data);
    for (size_t i = 0; i < 6; ++i) EXPECT_EQ(got[i], want[i]) << i;
  }
}

TEST(CustomOp, SaysWhatIsMissing) {
  add_tilt();
  EXPECT_EQ(
      error_of("tumble", Device::cpu(1)),
      "step 'tilted': op 'tumble' has no CPU form that takes such operands; a C++ file adds one before a model is "
      "opened (docs/write_a_kernel.md)");
  if (const auto& device = test::opencl_device()) {
    EXPECT_EQ(error_of("tilt", *device),
              "step 'tilted': op 'tilt' has no OpenCL form; a .cl file adds one before a model is opened "
              "(docs/write_a_kernel.md)");
  }
}

}  // namespace
}  // namespace weft

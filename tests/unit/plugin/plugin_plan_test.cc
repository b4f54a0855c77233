// Kernels of a shared object in a plan.
#include <gtest/gtest.h>

#include <array>

#include "core/error.h"
#include "models/axes.h"
#include "ops/ops.h"
#include "runtime/plan/plan.h"
#include "tests/unit/plugin/plugin.h"

namespace weft {
namespace {

Plan plan_with(const std::string& kernel, Format format = Format::f32) {
  Graph graph;
  const auto x = graph.input<f32, Pos, Embed>("x");
  auto storage = allocate_storage("w", format, axis_list<Axes<Hidden, Embed>>::get(), std::array<int64_t, 2>{16, 64});
  graph.result(materialize(contract<Embed>(x, Weight<Hidden, Embed>(storage))));
  return compile(Device::cpu(1), graph.record(), Limits().set(graph.axis<Pos>(), 40),
                 {.profile = true, .kernel = kernel});
}

TEST(KernelPluginInAPlan, IsForcedByName) {
  add_plugin();
  EXPECT_EQ(plan_with("plugin-dot").steps()[0].kernel, "F32: plugin-dot");
  EXPECT_EQ(plan_with("").steps()[0].kernel.find("plugin"), std::string::npos);
}

TEST(KernelPluginInAPlan, SaysSoWhereItCannotServe) {
  add_plugin();
  const auto message = [](const std::string& kernel, Format format) {
    try {
      plan_with(kernel, format);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_NE(message("plugin-dot", Format::f16).find("'plugin-dot' can serve no step of this graph: it multiplies F32"),
            std::string::npos);
  EXPECT_NE(message("plugin-dotty", Format::f32).find("no kernel of contractions is called 'plugin-dotty' on the CPU"),
            std::string::npos);
}

}  // namespace
}  // namespace weft

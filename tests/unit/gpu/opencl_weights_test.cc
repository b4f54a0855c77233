// Weights of an OpenCL device in plans: uploaded once, shared, packed where a kernel reads them so; and kernels that
// are asked for by name.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/error.h"
#include "gpu/device.h"
#include "models/axes.h"
#include "ops/ops.h"
#include "runtime/plan/plan.h"
#include "tests/errors.h"
#include "tests/gpu_device.h"

namespace weft {
namespace {

using test::error_of;

std::shared_ptr<const Storage> table_of(Format format, int64_t rows, int64_t k) {
  auto storage =
      allocate_storage("table", format, axis_list<Axes<Vocab, Embed>>::get(), std::array<int64_t, 2>{rows, k});
  std::vector<float> values(static_cast<size_t>(rows * k));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(static_cast<int>(i * 37 % 201) - 100) / 64;
  encode_row(format, values.data(), values.size(), const_cast<std::byte*>(storage->data));
  return storage;
}

// Embeddings, and outputs with the same table: logits[pos, vocab] of tokens.
struct Tied {
  Graph graph;
  AxisId pos;
  ValueId tokens, logits;

  explicit Tied(const std::shared_ptr<const Storage>& table) {
    const Weight<Vocab, Embed> weight(table);
    const auto ids = graph.input<i32, Pos>("tokens");
    const auto x = materialize(at<Vocab>(weight, ids));
    const auto y = materialize(contract<Embed>(x, weight));
    graph.result(y);
    pos = graph.axis<Pos>();
    tokens = ids.id();
    logits = y.id();
  }
  Plan plan(const Device& device, const std::string& kernel = {}) const {
    return compile(device, graph.record(), Limits().set(pos, 9),
                   {.precision = Precision::exact, .profile = true, .kernel = kernel});
  }
  std::vector<float> run(Plan& plan, const std::vector<int32_t>& ids) const {
    Bindings bindings = plan.bindings();
    bindings.input(tokens, ids.data(), {static_cast<int64_t>(ids.size())});
    plan.run(bindings);
    const std::span<const float> values = plan.output(logits).floats();
    return {values.begin(), values.end()};
  }
};

class OpenClWeights : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::opencl_device()) GTEST_SKIP() << "no OpenCL device on this machine";
  }
  static const Device& device() { return *test::opencl_device(); }
};

TEST_F(OpenClWeights, AreUploadedOnceAndFreedWithTheLastPlan) {
  const auto storage = table_of(Format::q8_0, 37, 64);
  const Tied tied(storage);
  GpuDevice& gpu = *device().gpu();
  std::weak_ptr<const GpuWeight> weak;
  {
    const Plan first = tied.plan(device());
    weak = gpu.weight(storage, nullptr);
    EXPECT_EQ(weak.use_count(), 1);  // of the plan
    const Plan second = tied.plan(device());
    EXPECT_EQ(weak.use_count(), 2);
    const ChosenLayout chosen{kRows16, {1, 37, 64}};
    const auto packed = gpu.weight(storage, &chosen);
    EXPECT_NE(packed, weak.lock());
    const Plan third = tied.plan(device(), "cl-x16");
    EXPECT_EQ(packed.use_count(), 2);
    EXPECT_EQ(weak.use_count(), 2);  // the third plan has it in one layout alone
  }
  EXPECT_TRUE(weak.expired());
}

// Odd extents, rows that are gathered, ids out of range; with each kernel that reads such weights.
TEST_F(OpenClWeights, PackedOnesAreMultipliedAndGathered) {
  const std::vector<int32_t> ids = {0, 36, 17, -1, 15, 16, 37, 5};
  for (const int64_t k : {32, 96}) {  // groups that do, and do not, end with a cache line
    const Tied tied(table_of(Format::q8_0, 37, k));
    Plan reference = tied.plan(Device::cpu(1));
    Plan stored = tied.plan(device());
    EXPECT_EQ(stored.memory().weights, static_cast<size_t>(37 * k / 32 * 34));
    for (const char* kernel : {"cl-x16", "cl-x16-4", "cl-x16-strided", "cl-x16-strided-4"}) {
      SCOPED_TRACE(kernel);
      Plan plan = tied.plan(device(), kernel);
      EXPECT_NE(plan.steps()[1].kernel.find(std::string("Q8_0 x16: ")), std::string::npos) << plan.steps()[1].kernel;
      EXPECT_EQ(plan.memory().packed_weights, static_cast<size_t>(3 * ((17 * k + 63) / 64 * 64)));
      EXPECT_EQ(plan.memory().replaced_weights, plan.memory().weights);
      for (const size_t rows : {1, 8}) {
        const std::vector<int32_t> some(ids.end() - static_cast<std::ptrdiff_t>(rows), ids.end());
        const std::vector<float> got = tied.run(plan, some), want = tied.run(reference, some);
        ASSERT_EQ(got.size(), want.size());
        for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 2e-4f) << i;
      }
      // Rows as announced, then what the profile of both runs shows.
      EXPECT_TRUE(plan.steps()[1].ran.contains(kernel));
      EXPECT_EQ(plan.steps()[0].ran, (decltype(plan.steps()[0].ran){"map"}));
    }
  }
}

TEST_F(OpenClWeights, KernelsAreForcedByName) {
  const Tied tied(table_of(Format::q8_0, 37, 64));
  EXPECT_EQ(tied.plan(device()).steps()[1].kernel, "Q8_0: cl-dot \u22641, cl-dot-4");
  EXPECT_EQ(tied.plan(device(), "cl-dot").steps()[1].kernel, "Q8_0: cl-dot");
  EXPECT_EQ(tied.plan(device(), "cl-strided").steps()[1].kernel, "Q8_0: cl-strided");
  EXPECT_EQ(tied.plan(device(), "cl-x16-4").steps()[1].kernel, "Q8_0 x16: cl-x16 \u22641, cl-x16-4");

  const std::string unknown = error_of([&] { tied.plan(device(), "f32-dot"); });
  EXPECT_NE(unknown.find("no kernel of contractions is called 'f32-dot' on OpenCL: there are "), std::string::npos);
  EXPECT_NE(unknown.find(opencl_kernel_names()), std::string::npos) << unknown;
  EXPECT_NE(opencl_kernel_names().find("cl-x16-strided"), std::string::npos);

  const Tied halves(table_of(Format::f16, 37, 64));
  EXPECT_EQ(error_of([&] { halves.plan(device(), "cl-x16"); }),
            "kernel 'cl-x16' can serve no step of this graph: it multiplies Q8_0 weights in layout x16");
}

}  // namespace
}  // namespace weft

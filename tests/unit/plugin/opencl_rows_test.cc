// Kernels of OpenCL C on a device: beside the reference, in plans, and where they cannot run.
#include <gtest/gtest.h>

#include <array>

#include "core/error.h"
#include "gpu/case_runner.h"
#include "models/axes.h"
#include "ops/contract/cases.h"
#include "ops/harness/reference.h"
#include "ops/ops.h"
#include "ops/plugin/cases.h"
#include "ops/plugin/opencl_file.h"
#include "ops/plugin/plugin.h"
#include "runtime/plan/eval.h"
#include "runtime/plan/plan.h"
#include "tests/gpu_device.h"

namespace weft {
namespace {

constexpr const char* kText = R"cl(
#define row 3.0f  // also a name of Weft's
float times(float x) { return x * row; }
void cl_shifted(global const float* x, global const float* w, global float* out, float by, int width, int begin,
                int end, local float* shared) {
  for (int i = begin + get_local_id(0); i < end; i += get_local_size(0)) out[i] = times(x[i]) + w[i] * by;
}
WEFT_KERNEL(cl_shifted, .computes = "x * 3 + w * $c", .work_items = 4, .columns = 7)

static void cl_sum(global const float* x, global float* out, int width, local float* shared) {
  const int item = get_local_id(0);
  shared[item] = 0;
  for (int i = item; i < width; i += 8) shared[item] += x[i];
  barrier(CLK_LOCAL_MEM_FENCE);
  if (item > 0) return;
  float sum = 0;
  for (int i = 0; i < 8; ++i) sum += shared[i];
  *out = sum;
}
WEFT_KERNEL(cl_sum, .computes = "sum(x)", .work_items = 8)

// A work-item for each row.
void cl_softmax(global const float* x, global float* out, int width, local float* shared) {
  float most = -INFINITY, sum = 0;
  for (int i = 0; i < width; ++i) most = x[i] > most ? x[i] : most;
  for (int i = 0; i < width; ++i) sum += exp(x[i] - most);
  for (int i = 0; i < width; ++i) out[i] = exp(x[i] - most) / sum;
}
WEFT_KERNEL(cl_softmax, .computes = "softmax(x)", .work_items = 1)

void cl_tilt(global const float* x, global const float* w, global float* out, float by, int width,
             local float* shared) {
  for (int i = get_local_id(0); i < width; i += get_local_size(0)) out[i] = x[i] + by * x[0] * w[i];
}
WEFT_KERNEL(cl_tilt, .computes = "op cl_tilt(x, w, $by)")
)cl";

const std::vector<const OpenClRowsKernel*>& kernels() {
  static const auto added = add_opencl_file("the test.cl", kText, PluginPlace::last).rows;
  return added;
}

// The op's reference, as a C++ file has it.
void add_reference() {
  static const weft_kernel kernel = [] {
    weft_kernel it{};
    it.name = "tilt_plain";
    it.computes = "op cl_tilt(x, w, $by)";
    it.rows = [](const weft_rows* of) {
      const Rows rows(*of);
      for (int64_t r = rows.first(); r < rows.last(); ++r) {
        const auto x = rows.input(0, r), w = rows.input(1, r);
        for (size_t i = 0; i < x.size(); ++i) rows.output(r)[i] = x[i] + rows.constant(0) * x[0] * w[i];
      }
    };
    it.is_reference = 1;
    return it;
  }();
  static const auto added = add_plugin_kernels(&kernel, "the test", PluginPlace::last);
  ASSERT_EQ(added.size(), 1u);
}

class OpenClRows : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::opencl_device()) GTEST_SKIP() << "no OpenCL device on this machine";
    add_reference();
    (void)kernels();
  }
  static const Device& device() { return *test::opencl_device(); }

  // The message of a plan in which the kernels of this text are first; none where it is compiled.
  static std::string error_of(const std::string& text) {
    Graph graph;
    const auto x = graph.input<f32, Pos, Embed>("x");
    graph.result(materialize(exp(x) + 17.0f, "step"));
    try {
      (void)add_opencl_file("wrong.cl", text, PluginPlace::first);
      (void)compile(device(), graph.record(), Limits().set(graph.axis<Pos>(), 4).set(graph.axis<Embed>(), 8), {});
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
};

TEST_F(OpenClRows, AgreeWithTheReferenceInAllCases) {
  for (const OpenClRowsKernel* kernel : kernels()) {
    SCOPED_TRACE(kernel->name);
    const std::vector<StepCase> cases = formula_cases(*kernel->formula);
    std::vector<std::set<std::string>> ran;
    const std::vector<Outputs> got = run_gpu(*device().gpu(), cases, true, kernel->name, &ran);
    for (size_t i = 0; i < cases.size(); ++i) {
      EXPECT_EQ(compare(cases[i], got[i], run_reference(cases[i]), {.absolute = 1e-4, .relative = 1e-4}), "");
      // Without rows, nothing is launched.
      if (cases[i].element_count(cases[i].step().outputs[0]) > 0) {
        EXPECT_EQ(ran[i], std::set<std::string>{kernel->name}) << cases[i].name();
      }
    }
  }
}

TEST_F(OpenClRows, RunInAPlanWithWeightsOfAnyFormat) {
  static const auto added = add_opencl_file(
      "first.cl",
      "void cl_first(global const float* x, global const float* w, global float* out, int width, int begin,"
      " int end, local float* shared) {\n"
      "  for (int i = begin + get_local_id(0); i < end; i += get_local_size(0)) out[i] = x[i] * w[i] - 5;\n"
      "}\nWEFT_KERNEL(cl_first, .computes = \"x * w - 5\", .work_items = 2, .columns = 8)\n",
      PluginPlace::first);
  for (const Format format : {Format::f32, Format::f16, Format::q8_0}) {
    Graph graph;
    const auto x = graph.input<f32, Pos, Embed>("x");
    auto storage = allocate_storage("w", format, axis_list<Axes<Embed>>::get(), std::array<int64_t, 1>{32});
    std::vector<float> values(32), w(32);
    for (size_t i = 0; i < 32; ++i) w[i] = static_cast<float>(i) - 10;
    encode_row(format, w.data(), 32, storage->data);
    decode_row(format, storage->data, 32, w.data());
    const auto y = materialize(x * Weight<Embed>(storage) - 5.0f, "y");
    const auto z = materialize(y + x, "z");
    graph.result(z);
    Plan plan = compile(device(), graph.record(), Limits().set(graph.axis<Pos>(), 4), {.profile = true});
    EXPECT_EQ(plan.steps()[0].kernel, "cl_first");
    EXPECT_EQ(plan.steps()[1].kernel, "map");
    std::vector<float> in(3 * 32);
    for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i % 7);
    Bindings bindings = plan.bindings();
    bindings.input(x.id(), in.data(), {3, 32});
    plan.run(bindings);
    const auto got = plan.output(z.id()).floats();
    for (size_t i = 0; i < in.size(); ++i) EXPECT_NEAR(got[i], in[i] * w[i % 32] - 5 + in[i], 1e-4) << i;
  }
}

// Rows of Q8_0, one work-item or many to a sum; three rows of activations at once.
constexpr const char* kProducts = R"cl(
void cl_q8_3(global const float** left, global const uchar* right, int k, int item, int items, float* sums) {
  for (int b = item; b < k / 32; b += items) {
    const float scale = vload_half(0, (global const half*)(right + 34 * b));
    global const char* w = (global const char*)(right + 34 * b + 2);
    for (int t = 0; t < 3; ++t) {
      float sum = 0;
      for (int i = 0; i < 32; ++i) sum += left[t][32 * b + i] * w[i];
      sums[t] += scale * sum;
    }
  }
}
WEFT_KERNEL(cl_q8_3, .computes = "contract", .formats = "Q8_0", .tile = 3, .first_rows = 2, .last_rows = 6)
)cl";

TEST_F(OpenClRows, KernelsOfContractionsServeTheirNumbersOfRows) {
  static const auto added = add_opencl_file("products.cl", kProducts, PluginPlace::first);
  ASSERT_EQ(added.products.size(), 1u);
  for (const int lanes : {1, 16}) {
    GpuOptions options;
    options.lanes = lanes;
    const std::shared_ptr<GpuDevice> gpu = GpuDevice::create(options);
    for (const int64_t rows : {1, 2, 3, 5, 6, 9}) {
      const StepCase step_case = linear_case(rows, 5, 64, Format::q8_0);
      std::vector<std::set<std::string>> ran;
      const std::vector<Outputs> got = run_gpu(*gpu, {&step_case, 1}, true, {}, &ran);
      EXPECT_EQ(compare(step_case, got[0], run_reference(step_case), {.magnitude = absolute_sum(step_case)}), "");
      EXPECT_EQ(ran[0].contains("cl_q8_3"), rows >= 2 && rows <= 6) << rows;
    }
  }
}

TEST_F(OpenClRows, AnOpAgreesOnBothDevices) {
  const std::vector<float> x = {1, 2, 3, 10, 20, 30}, w = {0, 1, -1}, want = {2, 6, 4, 20, 60, 40};
  for (const Device& on : {Device::cpu(1), device()}) {
    Graph graph;
    const auto in = graph.input<f32, Pos, Embed>("x");
    const auto by = graph.input<f32, Embed>("w");
    const auto sum = materialize(materialize(custom<Embed>("cl_tilt", in, by, 2), "tilted") + in, "sum");
    graph.result(sum);
    Plan plan = compile(on, graph.record(), Limits().set(graph.axis<Pos>(), 4).set(graph.axis<Embed>(), 3), {});
    EXPECT_EQ(plan.steps()[0].kernel, on.is_cpu() ? "tilt_plain" : "cl_tilt");
    Bindings bindings = plan.bindings();
    bindings.input(in.id(), x.data(), {2, 3});
    bindings.input(by.id(), w.data(), {3});
    plan.run(bindings);
    const auto got = plan.output(sum.id()).floats();
    EXPECT_EQ(std::vector<float>(got.begin(), got.end()), want);
  }
}

TEST_F(OpenClRows, AnOpSaysWhatIsMissing) {
  const auto of = [](const std::string& op, auto... constants) {
    Graph graph;
    const auto x = graph.input<f32, Pos, Embed>("x");
    graph.result(materialize(custom<Embed>(op, x, constants...), "step"));
    try {
      compile(device(), graph.record(), Limits().set(graph.axis<Pos>(), 4).set(graph.axis<Embed>(), 3), {});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(of("tumble", 2),
            "step 'step': op 'tumble' has no OpenCL form; a .cl file adds one before a model is opened "
            "(docs/write_a_kernel.md)");
  EXPECT_EQ(of("cl_tilt", 2),
            "step 'step': op 'cl_tilt' has no OpenCL form that takes such operands (docs/write_a_kernel.md)");
}

// The kernels of wrong files stay in the table: each test here has a program of its own.
TEST_F(OpenClRows, ABuildThatFailsNamesFileAndLine) {
  const std::string error = error_of(
      "\nvoid wrong_name(global const float* x, global float* out, int width, local float* shared) {\n"
      "  out[0] = unknown;\n}\nWEFT_KERNEL(wrong_name, .computes = \"exp(x) + 17\")\n");
  EXPECT_NE(error.find("kernel file 'wrong.cl' does not build on '"), error.npos) << error;
  EXPECT_NE(error.find("wrong.cl:3:"), error.npos) << error;
  EXPECT_NE(error.find("unknown"), error.npos) << error;
}

}  // namespace
}  // namespace weft

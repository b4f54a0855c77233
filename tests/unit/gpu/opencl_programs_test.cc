// Templates of OpenCL text, and programs that do not build.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "gpu/device.h"
#include "gpu/lower/opencl_text.h"
#include "gpu/program_cache.h"
#include "tests/command.h"
#include "tests/in_threads.h"

namespace weft {
namespace {

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(OpenClText, EveryOpHasItsText) {
  for (const char* op :
       {"common", "formats", "append", "attention", "contract", "map", "plugin", "reduce", "rope", "select"}) {
    EXPECT_GT(opencl_text(op).size(), 100u) << op;
  }
  EXPECT_EQ(message_of([] { opencl_text("none"); }), "no OpenCL text 'none' in this build");
}

TEST(OpenClText, SectionsAreExpanded) {
  const std::string text =
      expand_opencl("reduce", "along", {{"extent", "n"}, {"element", "    first;\n    second;\n"}});
  EXPECT_EQ(text, "  for (int at = weft_lane; at < n; at += WEFT_LANES) {\n    first;\n    second;\n  }\n");
  EXPECT_EQ(message_of([] { expand_opencl("reduce", "along", {{"extent", "n"}}); }),
            "ops/reduce/opencl.cl, section 'along': nothing given for 'element'");
  EXPECT_EQ(message_of([] { expand_opencl("reduce", "none", {}); }), "ops/reduce/opencl.cl has no section 'none'");
}

// Whoever reads while another writes gets a whole file of either, or nothing.
TEST(ProgramFiles, AreReplacedWhole) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "sub/program.clbin", key = "the source";
  const std::vector<unsigned char> small(100, 1), large(200000, 2);
  test::in_threads([&](int thread) {
    for (int i = 0; i < 50; ++i) {
      write_program_file(path, key, thread == 0 ? small : large);
      const auto read = read_program_file(path, key);
      EXPECT_TRUE(read.empty() || read == small || read == large);
    }
  });
  EXPECT_FALSE(read_program_file(path, key).empty());
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "sub")) files += entry.exists() ? 1 : 0;
  EXPECT_EQ(files, 1u);  // nothing unfinished is left beside it
}

class OpenClPrograms : public testing::Test {
 protected:
  void SetUp() override {
    cl_platform_id platform = nullptr;
    try {
      if (cl().GetPlatformIDs(1, &platform, nullptr) != CL_SUCCESS) platform = nullptr;
    } catch (const Error&) {
    }
    if (platform == nullptr || cl().GetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device_, nullptr) != CL_SUCCESS) {
      GTEST_SKIP() << "no OpenCL device on this machine";
    }
    context_ = ClContext(cl().CreateContext(nullptr, 1, &device_, nullptr, nullptr, nullptr));
  }

  cl_device_id device_ = nullptr;
  ClContext context_;
};

TEST_F(OpenClPrograms, BuildLogIsInTheError) {
  ProgramCache cache(context_.get(), device_, "", "");
  const std::string message =
      message_of([&] { cache.get("__kernel void bad_@(__global float* x) { x[0] = unknown; }\n"); });
  EXPECT_NE(message.find("does not build"), std::string::npos) << message;
  EXPECT_NE(message.find("unknown"), std::string::npos) << message;
  EXPECT_EQ(cache.stats().built, 0);
  // A failure leaves nothing behind.
  const BuiltUnit good = cache.get("__kernel void good_@(__global float* x) { x[0] = 1.0f; }\n");
  EXPECT_NE(good.program, nullptr);
}

TEST_F(OpenClPrograms, UnitsOfOneProgramHaveNamesOfTheirOwn) {
  ProgramCache cache(context_.get(), device_, "", "");
  const std::vector<std::string> units = {"__kernel void k_@(__global float* x) { x[0] = 1.0f; }\n",
                                          "__kernel void k_@(__global float* x) { x[0] = 2.0f; }\n"};
  cache.build_missing({units[0], units[1], units[0]});
  EXPECT_EQ(cache.stats().built, 1);
  const BuiltUnit first = cache.get(units[0]), second = cache.get(units[1]);
  EXPECT_EQ(first.program, second.program);
  EXPECT_NE(first.id, second.id);
  EXPECT_EQ(cache.stats().from_memory, 2);
  for (const BuiltUnit& unit : {first, second}) {
    cl_int error = CL_SUCCESS;
    const ClKernel kernel(cl().CreateKernel(unit.program->get(), ("k_" + unit.id).c_str(), &error));
    EXPECT_EQ(error, CL_SUCCESS);
  }
}

}  // namespace
}  // namespace weft

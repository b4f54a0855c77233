// The GPU device through gpu/device.h alone: what a build without OpenCL, or a machine without a device, says;
// buffers; and the cache of built programs, whatever is done to its files.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "gpu/device.h"
#include "ops/harness/case.h"
#include "tests/in_threads.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

std::string error_of_create(const GpuOptions& options = {}) {
  try {
    GpuDevice::create(options);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool has_backend() { return error_of_create().find("this build has no OpenCL backend") == std::string::npos; }

// For death tests: prints the message of create(), and ends with 3 where it threw.
[[noreturn]] void create_and_exit(const char* variable, const std::string& value, const fs::path& folder) {
  setenv(variable, value.c_str(), 1);
  const std::string message = error_of_create();
  fs::remove_all(folder);  // of this process, which ends here
  std::fprintf(stderr, "%s\n", message.c_str());
  std::_Exit(message.empty() ? 0 : 3);
}

class OpenClDeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    folder_ = fs::path(testing::TempDir()) / ("weft_opencl_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path folder_;
};

TEST_F(OpenClDeviceTest, BuildWithoutBackendSaysHowToGetOne) {
  if (has_backend()) GTEST_SKIP() << "this build has the OpenCL backend";
  EXPECT_EQ(error_of_create(), "this build has no OpenCL backend; configure with -DWEFT_OPENCL=ON");
  EXPECT_THROW(GpuDevice::list(), Error);
}

// The child begins anew, so that nothing has asked for a device before.
TEST_F(OpenClDeviceTest, NoDriverIsAnError) {
  EXPECT_EXIT(create_and_exit("OCL_ICD_VENDORS", folder_.string(), folder_), testing::ExitedWithCode(3),
              "no OpenCL device|no OpenCL backend|no OpenCL loader");
}

TEST_F(OpenClDeviceTest, NoLoaderIsAnError) {
  const std::string library = (folder_ / "none.so").string();
  EXPECT_EXIT(create_and_exit("WEFT_OPENCL_LIBRARY", library, folder_), testing::ExitedWithCode(3),
              "cannot load '.*none.so'|no OpenCL backend");
}

class WithDevice : public OpenClDeviceTest {
 protected:
  void SetUp() override {
    OpenClDeviceTest::SetUp();
    if (!has_backend()) GTEST_SKIP() << "this build has no OpenCL backend";
    if (error_of_create().find("no OpenCL loader") == 0) GTEST_SKIP() << "no OpenCL loader on this machine";
    if (GpuDevice::list().empty()) GTEST_SKIP() << "no OpenCL device on this machine";
    cache_ = folder_ / "cache";
  }

  std::unique_ptr<GpuDevice> device() const {
    GpuOptions options;
    options.cache_folder = cache_.string();
    return GpuDevice::create(options);
  }

  // x + x on 100 elements, whose result is checked.
  void run(GpuDevice& gpu) const {
    CaseBuilder c(StepKind::map, "doubled");
    const AxisId a = c.axis("a", 100);
    ScalarBuilder s;
    const Scalar x = s.load(c.operand(c.input("x", {a})));
    c.body({a}, s.finish(x + x));
    const StepCase step_case = c.build();
    const auto step = gpu.prepare(step_case.graph, step_case.step(), step_case.max_extents.data(), Precision::exact);
    const GpuBuffer from = gpu.allocate(400), to = gpu.allocate(400);
    gpu.upload(from, 0, step_case.bytes[0].data(), 400);
    const GpuSpan data[] = {{&from, 0}, {&to, 0}};
    GpuArgs args;
    args.extents = step_case.extents.data();
    args.data = data;
    step->run(args);
    std::vector<float> got(100), want(100);
    gpu.download(to, 0, got.data(), 400);
    std::memcpy(want.data(), step_case.bytes[0].data(), 400);
    for (float& w : want) w += w;
    EXPECT_EQ(got, want);
  }

  std::vector<fs::path> cached() const {
    std::vector<fs::path> files;
    if (!fs::exists(cache_)) return files;
    for (const auto& entry : fs::directory_iterator(cache_)) files.push_back(entry.path());
    return files;
  }

  fs::path cache_;
};

TEST_F(WithDevice, IsChosenByIndexSelectorAndName) {
  const std::vector<GpuDeviceInfo> devices = GpuDevice::list();
  for (size_t i = 0; i < devices.size(); ++i) {
    GpuOptions options;
    options.device = std::to_string(i);
    EXPECT_EQ(GpuDevice::create(options)->info().selector, devices[i].selector);
    options.device = devices[i].selector;
    EXPECT_EQ(GpuDevice::create(options)->info().name, devices[i].name);
  }
  GpuOptions options;
  options.device = devices[0].name;
  EXPECT_EQ(GpuDevice::create(options)->info().name, devices[0].name);
  options.device = "no such device";
  const std::string message = error_of_create(options);
  EXPECT_NE(message.find("no OpenCL device 'no such device'"), std::string::npos) << message;
  EXPECT_NE(message.find(devices[0].name), std::string::npos) << message;
  options.device = std::to_string(devices.size());
  EXPECT_NE(error_of_create(options).find("no OpenCL device"), std::string::npos);
  options.device = "";
  options.lanes = 3;
  EXPECT_NE(error_of_create(options).find("lanes"), std::string::npos);
}

TEST_F(WithDevice, BuffersKeepBytesAndRefuseAccessOutside) {
  const auto gpu = device();
  const GpuBuffer a = gpu->allocate(16), b = gpu->allocate(16);
  const char text[] = "0123456789abcde";
  gpu->upload(a, 0, text, 16);
  gpu->fill_zero(b, 0, 16);
  gpu->copy(a, 4, b, 2, 8);
  char got[16];
  gpu->download(b, 0, got, 16);
  EXPECT_EQ(std::string(got, 16), std::string("\0\0"
                                              "456789ab"
                                              "\0\0\0\0\0\0",
                                              16));
  EXPECT_THROW(gpu->upload(a, 1, text, 16), Error);
  EXPECT_THROW(gpu->download(a, 17, got, 0x7fffffffffffffff), Error);
  EXPECT_THROW(gpu->copy(a, 0, b, 9, 8), Error);
  EXPECT_EQ(gpu->allocate(0).bytes(), 0u);
  gpu->upload(gpu->allocate(0), 0, nullptr, 0);
}

TEST_F(WithDevice, BuffersOutliveTheDevice) {
  auto gpu = device();
  const GpuBuffer buffer = gpu->allocate(16);
  gpu.reset();
  EXPECT_EQ(buffer.bytes(), 16u);
}

TEST_F(WithDevice, ProgramsAreKeptInMemoryAndOnDisk) {
  auto gpu = device();
  run(*gpu);
  run(*gpu);
  EXPECT_EQ(gpu->program_stats().built, 1);
  EXPECT_GE(gpu->program_stats().from_memory, 1);
  ASSERT_EQ(cached().size(), 1u);  // and no temporary file is left
  gpu = device();
  run(*gpu);
  EXPECT_EQ(gpu->program_stats().built, 0);
  EXPECT_EQ(gpu->program_stats().from_disk, 1);
}

TEST_F(WithDevice, ThreadsShareADevice) {
  const auto gpu = device();
  test::in_threads([&](int) {
    for (int i = 0; i < 3; ++i) run(*gpu);
  });
  EXPECT_EQ(gpu->program_stats().built, 1);
  EXPECT_GE(gpu->program_stats().from_memory, 8);
}

// Separate devices, as several processes have: they share only the folder.
TEST_F(WithDevice, DevicesOfSeveralThreadsShareAFolder) {
  test::in_threads([&](int) { run(*device()); });
  ASSERT_EQ(cached().size(), 1u);
  const auto gpu = device();
  run(*gpu);
  EXPECT_EQ(gpu->program_stats().from_disk, 1);
}

TEST_F(WithDevice, DamagedCacheFilesAreReplaced) {
  run(*device());
  ASSERT_EQ(cached().size(), 1u);
  const fs::path file = cached()[0];
  std::string good;
  {
    std::ifstream in(file, std::ios::binary);
    good.assign(std::istreambuf_iterator<char>(in), {});
  }
  std::vector<std::string> damaged = {"", "x", good.substr(0, 20), good.substr(0, good.size() - 1), good + "x"};
  for (const size_t at : {size_t{0}, size_t{9}, size_t{17}, size_t{25}, size_t{40}, good.size() / 2, good.size() - 1}) {
    damaged.push_back(good);
    damaged.back()[at] = static_cast<char>(damaged.back()[at] ^ 0x40);
  }
  for (const std::string& bytes : damaged) {
    std::ofstream(file, std::ios::binary) << bytes;
    auto gpu = device();
    run(*gpu);
    EXPECT_EQ(gpu->program_stats().built, 1) << bytes.size() << " bytes";
    gpu = device();
    run(*gpu);
    EXPECT_EQ(gpu->program_stats().from_disk, 1) << bytes.size() << " bytes";
  }
}

TEST_F(WithDevice, CacheFolderThatCannotBeWrittenDoesNoHarm) {
  std::ofstream(cache_) << "a file where the folder should be";
  const auto gpu = device();
  run(*gpu);
  EXPECT_EQ(gpu->program_stats().built, 1);
}

TEST_F(WithDevice, CacheCanBeSwitchedOff) {
  setenv("WEFT_PROGRAM_CACHE", "off", 1);
  run(*device());
  unsetenv("WEFT_PROGRAM_CACHE");
  EXPECT_TRUE(cached().empty());
}

}  // namespace
}  // namespace weft

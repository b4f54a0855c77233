// OpenCL's functions, owning handles, and its errors as weft::Error.
#pragma once

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>

#include <string>
#include <utility>

namespace weft {

// "CL_OUT_OF_RESOURCES", or the number of a code that OpenCL 1.2 does not name.
std::string opencl_error_name(cl_int code);

// Throws weft::Error "<what>: <name of code>" unless `code` is CL_SUCCESS.
void opencl_check(cl_int code, const char* what);

// The functions that Weft calls, resolved at run time: a program that never uses a GPU starts without a loader.
// clang-format off
#define WEFT_OPENCL_FUNCTIONS(X)                                                                               \
  X(GetPlatformIDs) X(GetPlatformInfo) X(GetDeviceIDs) X(GetDeviceInfo)                                        \
  X(CreateContext) X(ReleaseContext) X(CreateCommandQueue) X(ReleaseCommandQueue)                              \
  X(CreateBuffer) X(ReleaseMemObject)                                                                          \
  X(CreateProgramWithSource) X(CreateProgramWithBinary) X(BuildProgram) X(GetProgramInfo)                      \
  X(GetProgramBuildInfo) X(ReleaseProgram) X(CreateKernel) X(ReleaseKernel) X(SetKernelArg)                    \
  X(EnqueueNDRangeKernel) X(EnqueueReadBuffer) X(EnqueueWriteBuffer) X(EnqueueCopyBuffer)                      \
  X(EnqueueFillBuffer) X(Finish)
// clang-format on

struct OpenClApi {
#define WEFT_DECLARE(name) decltype(&::cl##name) name = nullptr;
  WEFT_OPENCL_FUNCTIONS(WEFT_DECLARE)
#undef WEFT_DECLARE
};

// From a library that the process has loaded already, else from libOpenCL.so.1, or from the file that
// WEFT_OPENCL_LIBRARY names in the environment. Throws weft::Error where there is none.
const OpenClApi& cl();

template <class Handle, auto release>
class ClOwner {
 public:
  ClOwner() = default;
  explicit ClOwner(Handle handle) : handle_(handle) {}
  ClOwner(ClOwner&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  ClOwner& operator=(ClOwner&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~ClOwner() {
    if (handle_ != nullptr) (cl().*release)(handle_);
  }
  Handle get() const { return handle_; }
  explicit operator bool() const { return handle_ != nullptr; }

 private:
  Handle handle_ = nullptr;
};

using ClContext = ClOwner<cl_context, &OpenClApi::ReleaseContext>;
using ClQueue = ClOwner<cl_command_queue, &OpenClApi::ReleaseCommandQueue>;
using ClProgram = ClOwner<cl_program, &OpenClApi::ReleaseProgram>;
using ClKernel = ClOwner<cl_kernel, &OpenClApi::ReleaseKernel>;
using ClMemory = ClOwner<cl_mem, &OpenClApi::ReleaseMemObject>;

// Text of a device or platform property.
std::string device_text(cl_device_id device, cl_device_info property);
std::string platform_text(cl_platform_id platform, cl_platform_info property);

}  // namespace weft

#include "gpu/opencl.h"

#include <dlfcn.h>

#include <cstdlib>

#include "core/error.h"

namespace weft {
namespace {

OpenClApi load_api() {
  const char* named = std::getenv("WEFT_OPENCL_LIBRARY");
  void* library = nullptr;
  if (named != nullptr && *named != '\0') {
    library = dlopen(named, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw Error("WEFT_OPENCL_LIBRARY: cannot load '" + std::string(named) + "'");
  } else if (dlsym(RTLD_DEFAULT, "clGetPlatformIDs") != nullptr) {
    library = RTLD_DEFAULT;  // linked or preloaded, like tools that observe OpenCL
  } else {
    library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) library = dlopen("libOpenCL.so", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      throw Error("no OpenCL loader on this machine: libOpenCL.so.1 is missing (Debian: ocl-icd-libopencl1)");
    }
  }
  OpenClApi api;
#define WEFT_LOAD(name)                                                        \
  api.name = reinterpret_cast<decltype(api.name)>(dlsym(library, "cl" #name)); \
  if (api.name == nullptr) throw Error("the OpenCL loader lacks OpenCL 1.2: no cl" #name);
  WEFT_OPENCL_FUNCTIONS(WEFT_LOAD)
#undef WEFT_LOAD
  return api;
}

}  // namespace

const OpenClApi& cl() {
  static const OpenClApi api = load_api();
  return api;
}

std::string opencl_error_name(cl_int code) {
  switch (code) {
#define WEFT_CL_NAME(name) \
  case name: return #name;
    WEFT_CL_NAME(CL_SUCCESS)
    WEFT_CL_NAME(CL_DEVICE_NOT_FOUND)
    WEFT_CL_NAME(CL_DEVICE_NOT_AVAILABLE)
    WEFT_CL_NAME(CL_COMPILER_NOT_AVAILABLE)
    WEFT_CL_NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE)
    WEFT_CL_NAME(CL_OUT_OF_RESOURCES)
    WEFT_CL_NAME(CL_OUT_OF_HOST_MEMORY)
    WEFT_CL_NAME(CL_BUILD_PROGRAM_FAILURE)
    WEFT_CL_NAME(CL_INVALID_VALUE)
    WEFT_CL_NAME(CL_INVALID_DEVICE)
    WEFT_CL_NAME(CL_INVALID_CONTEXT)
    WEFT_CL_NAME(CL_INVALID_COMMAND_QUEUE)
    WEFT_CL_NAME(CL_INVALID_MEM_OBJECT)
    WEFT_CL_NAME(CL_INVALID_BINARY)
    WEFT_CL_NAME(CL_INVALID_BUILD_OPTIONS)
    WEFT_CL_NAME(CL_INVALID_PROGRAM)
    WEFT_CL_NAME(CL_INVALID_PROGRAM_EXECUTABLE)
    WEFT_CL_NAME(CL_INVALID_KERNEL_NAME)
    WEFT_CL_NAME(CL_INVALID_KERNEL)
    WEFT_CL_NAME(CL_INVALID_ARG_INDEX)
    WEFT_CL_NAME(CL_INVALID_ARG_VALUE)
    WEFT_CL_NAME(CL_INVALID_ARG_SIZE)
    WEFT_CL_NAME(CL_INVALID_KERNEL_ARGS)
    WEFT_CL_NAME(CL_INVALID_WORK_GROUP_SIZE)
    WEFT_CL_NAME(CL_INVALID_WORK_ITEM_SIZE)
    WEFT_CL_NAME(CL_INVALID_BUFFER_SIZE)
    WEFT_CL_NAME(CL_INVALID_GLOBAL_WORK_SIZE)
#undef WEFT_CL_NAME
    default: return "OpenCL error " + std::to_string(code);
  }
}

void opencl_check(cl_int code, const char* what) {
  if (code != CL_SUCCESS) throw Error(std::string(what) + ": " + opencl_error_name(code));
}

std::string device_text(cl_device_id device, cl_device_info property) {
  size_t size = 0;
  opencl_check(cl().GetDeviceInfo(device, property, 0, nullptr, &size), "clGetDeviceInfo");
  std::string text(size, '\0');
  opencl_check(cl().GetDeviceInfo(device, property, size, text.data(), nullptr), "clGetDeviceInfo");
  while (!text.empty() && text.back() == '\0') text.pop_back();
  return text;
}

std::string platform_text(cl_platform_id platform, cl_platform_info property) {
  size_t size = 0;
  opencl_check(cl().GetPlatformInfo(platform, property, 0, nullptr, &size), "clGetPlatformInfo");
  std::string text(size, '\0');
  opencl_check(cl().GetPlatformInfo(platform, property, size, text.data(), nullptr), "clGetPlatformInfo");
  while (!text.empty() && text.back() == '\0') text.pop_back();
  return text;
}

}  // namespace weft

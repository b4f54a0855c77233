// The backend of a build without OpenCL: the functions of gpu/device.h, which report that.
#include "core/error.h"
#include "gpu/device.h"

namespace weft {

struct GpuBuffer::Impl {};

GpuBuffer::GpuBuffer() = default;
GpuBuffer::GpuBuffer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GpuBuffer::GpuBuffer(GpuBuffer&& other) noexcept = default;
GpuBuffer& GpuBuffer::operator=(GpuBuffer&& other) noexcept = default;
GpuBuffer::~GpuBuffer() = default;
size_t GpuBuffer::bytes() const { return 0; }

namespace {

[[noreturn]] void refuse() { throw Error("this build has no OpenCL backend; configure with -DWEFT_OPENCL=ON"); }

}  // namespace

std::unique_ptr<GpuDevice> GpuDevice::create(const GpuOptions&) { refuse(); }
std::vector<GpuDeviceInfo> GpuDevice::list() { refuse(); }
std::vector<const ProductRow*> GpuDevice::kernels() { return {}; }

}  // namespace weft

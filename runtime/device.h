// Where a plan runs.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace weft {

class GpuDevice;

// A cheap handle: copies share the device.
class Device {
 public:
  // `threads`: 0 takes what OpenMP offers (all cores of this process, or OMP_NUM_THREADS).
  static Device cpu(int threads = 0);

  // The OpenCL device whose platform or name contains `selector` (or the best one, where it is empty). Throws
  // Error where there is no such device, no driver, or this build has no OpenCL.
  static Device opencl(std::string_view selector = {});

  // "cpu", "opencl", "opencl:SELECTOR". Throws Error for anything else.
  static Device by_name(std::string_view name, int threads = 0);

  bool is_cpu() const { return gpu_ == nullptr; }
  int threads() const { return threads_; }  // of the CPU; 1 for others
  std::string name() const;                 // "cpu, 2 threads, AVX3": of a CPU the target that kernels run with
  const std::shared_ptr<GpuDevice>& gpu() const { return gpu_; }

 private:
  Device(int threads, std::shared_ptr<GpuDevice> gpu) : threads_(threads), gpu_(std::move(gpu)) {}

  int threads_ = 1;
  std::shared_ptr<GpuDevice> gpu_;
};

}  // namespace weft

// Where a plan runs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace weft {

class GpuDevice;
class PackedWeights;

// fixed: every run of a plan uses all threads. adaptive: a run uses fewer where other programs use the CPUs, or
// where fewer are faster. Results do not depend on it.
enum class TeamPolicy : uint8_t { fixed, adaptive };

// A cheap handle: copies share the device, and a moved-from handle still refers to it. Threads may share a device:
// on the CPU each run has its own team of threads, on OpenCL the steps of all runs share one queue.
class Device {
 public:
  Device(const Device&) = default;
  Device& operator=(const Device&) = default;

  // `threads`: 0 means as many as the CPUs that the process may use (affinity mask, quota of its control group),
  // or OMP_NUM_THREADS if that is less.
  static Device cpu(int threads = 0, TeamPolicy policy = TeamPolicy::fixed);

  // The OpenCL device whose platform or name contains `selector` (the best one if empty). Throws Error without
  // such a device, without a driver, or in a build without OpenCL.
  static Device opencl(std::string_view selector = {});

  // "cpu", "opencl", "opencl:SELECTOR"; `threads` and `policy` are for the CPU. Throws Error for anything else.
  static Device by_name(std::string_view name, int threads = 0, TeamPolicy policy = TeamPolicy::fixed);

  bool is_cpu() const { return gpu_ == nullptr; }
  int threads() const { return threads_; }  // of the CPU; 1 for others
  TeamPolicy team_policy() const { return policy_; }
  std::string name() const;  // "cpu, 2 threads, AVX3": on a CPU, with the target of its kernels
  const std::shared_ptr<GpuDevice>& gpu() const { return gpu_; }
  // Of the CPU, which is one device however many handles there are. Null for others, which keep their own.
  std::shared_ptr<PackedWeights> packed_weights() const;

 private:
  Device(int threads, TeamPolicy policy, std::shared_ptr<GpuDevice> gpu)
      : threads_(threads), policy_(policy), gpu_(std::move(gpu)) {}

  int threads_ = 1;
  TeamPolicy policy_ = TeamPolicy::fixed;
  std::shared_ptr<GpuDevice> gpu_;
};

}  // namespace weft

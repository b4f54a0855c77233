#include "runtime/plan/device.h"

#include <omp.h>

#include <algorithm>

#include "core/error.h"
#include "gpu/device.h"
#include "ops/cpu/cpu_target.h"
#include "ops/cpu/packed_weights.h"
#include "runtime/plan/cpus.h"

namespace weft {

Device Device::cpu(int threads, TeamPolicy policy) {
  if (threads < 0) throw Error("a CPU device cannot have " + std::to_string(threads) + " threads");
  return {threads == 0 ? std::min(omp_get_max_threads(), usable_cpus()) : threads, policy, nullptr};
}

Device Device::opencl(std::string_view selector) {
  GpuOptions options;
  options.device = selector;
  return {1, TeamPolicy::fixed, GpuDevice::create(options)};
}

Device Device::by_name(std::string_view name, int threads, TeamPolicy policy) {
  constexpr std::string_view kOpenCl = "opencl";
  if (name == "cpu") return cpu(threads, policy);
  if (name == kOpenCl) return opencl();
  if (name.starts_with("opencl:")) return opencl(name.substr(kOpenCl.size() + 1));
  throw Error("no device '" + std::string(name) + "': there are cpu, opencl and opencl:NAME");
}

std::shared_ptr<PackedWeights> Device::packed_weights() const {
  static const auto of_cpu = std::make_shared<PackedWeights>();
  return is_cpu() ? of_cpu : nullptr;
}

std::string Device::name() const {
  if (gpu_ != nullptr) return "opencl, " + gpu_->info().name + " (" + gpu_->info().platform + ")";
  return "cpu, " + std::to_string(threads_) + (threads_ == 1 ? " thread, " : " threads, ") + cpu_target();
}

}  // namespace weft

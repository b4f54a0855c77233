// A step's kernels on an OpenCL queue.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gpu/lower/lower.h"
#include "gpu/opencl.h"
#include "gpu/program_cache.h"

namespace weft {

// What a device's buffers and steps keep alive.
struct OpenClState {
  ClContext context;
  ClQueue queue;  // in order
  cl_device_id device = nullptr;
};

struct GpuBuffer::Impl {
  std::shared_ptr<OpenClState> state;
  ClMemory memory;
  size_t bytes = 0;
};

class OpenClStep : public GpuStep {
 public:
  OpenClStep(std::shared_ptr<OpenClState> state, GpuShape shape, std::string step_name, StepPlan plan,
             const BuiltUnit& built);

  const std::vector<KernelRange>& kernels() const override { return plan_.kernels; }
  size_t scratch_bytes() const override { return plan_.scratch_bytes; }
  int launches() const override { return static_cast<int>(plan_.stages.size()); }
  void run(const GpuArgs& args) override;

 private:
  struct Kernel {
    ClKernel kernel;
    ClMemory params;  // where the kernel does not take them as an argument
  };
  struct Constants {
    ClMemory memory;
    int64_t extent = -1;  // that the values were computed for
  };

  void refresh_constants(const GpuArgs& args);
  void launch(const KernelPlan& plan, Kernel& kernel, const GpuArgs& args);
  GpuSpan place(const MemoryRef& ref, const GpuArgs& args) const;

  std::shared_ptr<OpenClState> state_;
  GpuShape shape_;
  std::string step_name_;
  StepPlan plan_;
  std::shared_ptr<const ClProgram> program_;
  std::vector<std::vector<Kernel>> kernels_;
  std::vector<Constants> constants_;
  std::vector<int64_t> params_;  // for the current launch
};

ClMemory create_buffer(const OpenClState& state, size_t bytes);

}  // namespace weft

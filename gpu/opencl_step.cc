#include "gpu/opencl_step.h"

#include <algorithm>

#include "core/comma_list.h"
#include "core/error.h"
#include "ops/rope/frequencies.h"

namespace weft {
namespace {

std::string with_id(std::string name, const std::string& id) {
  const size_t at = name.find('@');
  return name.replace(at, 1, id);
}

}  // namespace

ClMemory create_buffer(const OpenClState& state, size_t bytes) {
  cl_int error = CL_SUCCESS;
  ClMemory memory(
      cl().CreateBuffer(state.context.get(), CL_MEM_READ_WRITE, std::max<size_t>(bytes, 4), nullptr, &error));
  if (error != CL_SUCCESS) {
    throw Error("cannot allocate " + std::to_string(bytes) +
                " bytes on the OpenCL device: " + opencl_error_name(error));
  }
  return memory;
}

OpenClStep::OpenClStep(std::shared_ptr<OpenClState> state, GpuShape shape, std::string step_name, StepPlan plan,
                       const BuiltUnit& built)
    : state_(std::move(state)),
      shape_(shape),
      step_name_(std::move(step_name)),
      plan_(std::move(plan)),
      program_(built.program) {
  size_t most = 0;
  for (const auto& stage : plan_.stages) {
    kernels_.emplace_back();
    for (const KernelPlan& kernel : stage) {
      cl_int error = CL_SUCCESS;
      Kernel& made = kernels_.back().emplace_back();
      made.kernel = ClKernel(cl().CreateKernel(program_->get(), with_id(kernel.name, built.id).c_str(), &error));
      opencl_check(error, "clCreateKernel");
      const size_t count = kernel.memory.size() + kernel.params.size();
      if (kernel.params_in_memory) made.params = create_buffer(*state_, 8 * count);
      most = std::max(most, count);
    }
  }
  params_.reserve(most);
  for (const StepConstants& constants : plan_.constants) {
    Constants& made = constants_.emplace_back();
    made.memory = create_buffer(*state_, 4 * constants.capacity);
    if (constants.rotary_axis != kNoAxis || constants.values.empty()) continue;
    opencl_check(cl().EnqueueWriteBuffer(state_->queue.get(), made.memory.get(), CL_TRUE, 0,
                                         4 * constants.values.size(), constants.values.data(), 0, nullptr, nullptr),
                 "clEnqueueWriteBuffer");
  }
}

void OpenClStep::refresh_constants(const GpuArgs& args) {
  for (size_t i = 0; i < constants_.size(); ++i) {
    const StepConstants& constants = plan_.constants[i];
    if (constants.rotary_axis == kNoAxis) continue;
    const int64_t extent = args.extents[constants.rotary_axis];
    if (extent == constants_[i].extent) continue;
    const std::vector<float> values = rope_frequencies(constants.rotary_base, extent);
    if (!values.empty()) {
      opencl_check(cl().EnqueueWriteBuffer(state_->queue.get(), constants_[i].memory.get(), CL_TRUE, 0,
                                           4 * values.size(), values.data(), 0, nullptr, nullptr),
                   "clEnqueueWriteBuffer");
    }
    constants_[i].extent = extent;
  }
}

GpuSpan OpenClStep::place(const MemoryRef& ref, const GpuArgs& args) const {
  switch (ref.kind) {
    case MemoryRef::Kind::value: return args.data[ref.index];
    case MemoryRef::Kind::scratch: return {args.scratch.buffer, args.scratch.offset + ref.index};
    case MemoryRef::Kind::pages: return args.pages[ref.index].pages;
    case MemoryRef::Kind::lengths: return args.pages[ref.index].length;
    case MemoryRef::Kind::first_keys: return args.pages[ref.index].first;
    case MemoryRef::Kind::constants: break;
  }
  return {};
}

void OpenClStep::run(const GpuArgs& args) {
  refresh_constants(args);
  for (size_t i = 0; i < plan_.stages.size(); ++i) {
    const auto& stage = plan_.stages[i];
    for (size_t j = 0; j < stage.size(); ++j) {
      if (stage[j].applies && !stage[j].applies(args)) continue;
      launch(stage[j], kernels_[i][j], args);
      break;
    }
  }
}

void OpenClStep::launch(const KernelPlan& plan, Kernel& kernel, const GpuArgs& args) {
  const int64_t units = plan.units(args);
  const int64_t units_y = plan.units_y ? plan.units_y(args) : 1;
  if (units == 0 || units_y == 0) return;
  constexpr int64_t kMost = 0x7fffffff;
  const bool teams = plan.grid != LaunchGrid::items;
  const int64_t local = plan.group != 0                                                  ? plan.group
                        : teams && (shape_.lanes > 1 || plan.grid == LaunchGrid::groups) ? shape_.lanes
                                                                                         : shape_.group;
  const bool one_each = plan.grid == LaunchGrid::items || (plan.grid == LaunchGrid::teams && shape_.lanes == 1);
  const int64_t global = one_each ? (units + local - 1) / local * local : units * local;
  if (units > kMost || (one_each && global > kMost)) {
    throw Error("step '" + step_name_ + "': " + std::to_string(units) + " results are more than one OpenCL launch has");
  }
  params_.clear();
  cl_uint argument = 0;
  for (const MemoryRef& ref : plan.memory) {
    cl_mem memory = nullptr;
    if (ref.kind == MemoryRef::Kind::constants) {
      memory = constants_[ref.index].memory.get();
      params_.push_back(0);
    } else {
      const GpuSpan span = place(ref, args);
      if (span.buffer != nullptr && span.buffer->impl() != nullptr) memory = span.buffer->impl()->memory.get();
      params_.push_back(static_cast<int64_t>(span.offset));
    }
    opencl_check(cl().SetKernelArg(kernel.kernel.get(), argument++, sizeof memory, &memory), "clSetKernelArg");
  }
  for (const KernelParam& param : plan.params) params_.push_back(param.value(args));
  const size_t bytes = params_.size() * sizeof(int64_t);
  if (plan.params_in_memory) {
    const cl_mem memory = kernel.params.get();
    opencl_check(
        cl().EnqueueWriteBuffer(state_->queue.get(), memory, CL_TRUE, 0, bytes, params_.data(), 0, nullptr, nullptr),
        "clEnqueueWriteBuffer");
    opencl_check(cl().SetKernelArg(kernel.kernel.get(), argument++, sizeof memory, &memory), "clSetKernelArg");
  } else {
    opencl_check(cl().SetKernelArg(kernel.kernel.get(), argument++, bytes, params_.data()), "clSetKernelArg");
  }
  if (plan.local_bytes) {
    const auto local_bytes = static_cast<size_t>(plan.local_bytes(args));
    opencl_check(cl().SetKernelArg(kernel.kernel.get(), argument++, local_bytes, nullptr), "clSetKernelArg");
  }
  const size_t global_size[2] = {static_cast<size_t>(global), static_cast<size_t>(units_y)};
  const size_t local_size[2] = {static_cast<size_t>(local), 1};
  const cl_int error = cl().EnqueueNDRangeKernel(state_->queue.get(), kernel.kernel.get(), units_y > 1 ? 2 : 1, nullptr,
                                                 global_size, local_size, 0, nullptr, nullptr);
  if (error != CL_SUCCESS) {
    throw Error("step '" + step_name_ + "' (" + comma_list(plan.ran) +
                "): clEnqueueNDRangeKernel: " + opencl_error_name(error));
  }
  for (const std::string& name : plan.ran) {
    if (args.notes != nullptr) args.notes->add(name.c_str());
  }
}

}  // namespace weft

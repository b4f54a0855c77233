// gpu/device.h on OpenCL.
#include <algorithm>
#include <cctype>
#include <map>

#include "core/error.h"
#include "gpu/device.h"
#include "gpu/lower/file_text.h"
#include "gpu/lower/lower.h"
#include "gpu/opencl_step.h"
#include "gpu/program_cache.h"
#include "gpu/weights.h"

namespace weft {

GpuBuffer::GpuBuffer() = default;
GpuBuffer::GpuBuffer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GpuBuffer::GpuBuffer(GpuBuffer&& other) noexcept = default;
GpuBuffer& GpuBuffer::operator=(GpuBuffer&& other) noexcept = default;
GpuBuffer::~GpuBuffer() = default;
size_t GpuBuffer::bytes() const { return impl_ ? impl_->bytes : 0; }

namespace {

struct FoundDevice {
  cl_device_id id = nullptr;
  cl_device_type type = 0;
  GpuDeviceInfo info;
};

template <class T>
T device_value(cl_device_id device, cl_device_info property) {
  T value{};
  opencl_check(cl().GetDeviceInfo(device, property, sizeof value, &value, nullptr), "clGetDeviceInfo");
  return value;
}

std::vector<FoundDevice> find_devices() {
  constexpr cl_int kNoPlatforms = -1001;  // CL_PLATFORM_NOT_FOUND_KHR
  cl_uint platform_count = 0;
  const cl_int error = cl().GetPlatformIDs(0, nullptr, &platform_count);
  if (error == kNoPlatforms || platform_count == 0) return {};
  opencl_check(error, "clGetPlatformIDs");
  std::vector<cl_platform_id> platforms(platform_count);
  opencl_check(cl().GetPlatformIDs(platform_count, platforms.data(), nullptr), "clGetPlatformIDs");
  std::vector<FoundDevice> found;
  for (size_t p = 0; p < platforms.size(); ++p) {
    cl_uint count = 0;
    if (cl().GetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, 0, nullptr, &count) != CL_SUCCESS || count == 0) continue;
    std::vector<cl_device_id> devices(count);
    opencl_check(cl().GetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, count, devices.data(), nullptr), "clGetDeviceIDs");
    for (size_t d = 0; d < devices.size(); ++d) {
      FoundDevice device;
      device.id = devices[d];
      device.type = device_value<cl_device_type>(device.id, CL_DEVICE_TYPE);
      GpuDeviceInfo& info = device.info;
      info.platform = platform_text(platforms[p], CL_PLATFORM_NAME);
      info.name = device_text(device.id, CL_DEVICE_NAME);
      info.driver = device_text(device.id, CL_DRIVER_VERSION);
      info.selector = std::to_string(p) + ":" + std::to_string(d);
      info.is_gpu = (device.type & CL_DEVICE_TYPE_GPU) != 0;
      info.compute_units = static_cast<int>(device_value<cl_uint>(device.id, CL_DEVICE_MAX_COMPUTE_UNITS));
      info.memory_bytes = device_value<cl_ulong>(device.id, CL_DEVICE_GLOBAL_MEM_SIZE);
      info.max_buffer_bytes = device_value<cl_ulong>(device.id, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
      info.local_bytes = device_value<cl_ulong>(device.id, CL_DEVICE_LOCAL_MEM_SIZE);
      found.push_back(std::move(device));
    }
  }
  return found;
}

std::string lower_case(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

FoundDevice choose_device(const std::string& wanted) {
  const std::vector<FoundDevice> devices = find_devices();
  if (devices.empty()) {
    throw Error(
        "no OpenCL device: the loader finds no driver (ICD) with a device; Debian's pocl-opencl-icd provides one "
        "for CPUs, `clinfo -l` lists them");
  }
  if (wanted.empty()) {
    for (const FoundDevice& device : devices) {
      if (device.info.is_gpu) return device;
    }
    return devices.front();
  }
  const bool by_index = std::all_of(wanted.begin(), wanted.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  if (by_index && wanted.size() < 7 && std::stoul(wanted) < devices.size()) return devices[std::stoul(wanted)];
  for (const FoundDevice& device : devices) {
    if (by_index) break;
    const bool named = lower_case(device.info.name).find(lower_case(wanted)) != std::string::npos ||
                       lower_case(device.info.platform).find(lower_case(wanted)) != std::string::npos;
    if (device.info.selector == wanted || named) return device;
  }
  std::string list;
  for (const FoundDevice& device : devices) {
    list += (list.empty() ? "" : ", ") + device.info.selector + " '" + device.info.name + "' (" + device.info.platform +
            ")";
  }
  throw Error("no OpenCL device '" + wanted + "'; there is " + list);
}

class OpenClDevice : public GpuDevice {
 public:
  OpenClDevice(FoundDevice found, const GpuOptions& options)
      : info_(std::move(found.info)), state_(std::make_shared<OpenClState>()) {
    if (options.lanes < 0 || options.lanes > 256 || (options.lanes & (options.lanes - 1)) != 0) {
      throw Error("GpuOptions::lanes is " + std::to_string(options.lanes) + "; it has to be a power of two up to 256");
    }
    state_->device = found.id;
    cl_int error = CL_SUCCESS;
    state_->context = ClContext(cl().CreateContext(nullptr, 1, &found.id, nullptr, nullptr, &error));
    opencl_check(error, "clCreateContext");
    state_->queue = ClQueue(cl().CreateCommandQueue(state_->context.get(), found.id, 0, &error));
    opencl_check(error, "clCreateCommandQueue");
    const bool is_cpu = (found.type & CL_DEVICE_TYPE_CPU) != 0;
    shape_.max_group =
        static_cast<int>(std::min<size_t>(device_value<size_t>(found.id, CL_DEVICE_MAX_WORK_GROUP_SIZE), 1 << 20));
    const int most = std::min(shape_.max_group, 256);
    shape_.lanes = options.lanes != 0 ? options.lanes : is_cpu ? 1 : 64;
    shape_.group = is_cpu ? 8 : 64;
    while (shape_.lanes > most) shape_.lanes /= 2;
    while (shape_.group > most) shape_.group /= 2;
    shape_.max_argument_bytes = device_value<size_t>(found.id, CL_DEVICE_MAX_PARAMETER_SIZE);
    shape_.local_bytes = info_.local_bytes;
    std::string folder = options.disk_cache ? default_program_folder() : "";
    if (!folder.empty() && !options.cache_folder.empty()) folder = options.cache_folder;
    programs_ =
        std::make_unique<ProgramCache>(state_->context.get(), found.id, program_head(shape_), folder, options.optimize);
  }

  ~OpenClDevice() override { cl().Finish(state_->queue.get()); }

  const GpuDeviceInfo& info() const override { return info_; }

  GpuBuffer allocate(size_t bytes) override {
    auto impl = std::make_unique<GpuBuffer::Impl>();
    impl->state = state_;
    impl->memory = create_buffer(*state_, bytes);
    impl->bytes = bytes;
    return GpuBuffer(std::move(impl));
  }

  void upload(const GpuBuffer& to, size_t offset, const void* from, size_t bytes) override {
    if (bytes == 0) return;
    opencl_check(
        cl().EnqueueWriteBuffer(queue(), memory(to, offset, bytes), CL_TRUE, offset, bytes, from, 0, nullptr, nullptr),
        "clEnqueueWriteBuffer");
  }

  void fill_zero(const GpuBuffer& to, size_t offset, size_t bytes) override {
    if (bytes == 0) return;
    const unsigned char zero = 0;
    opencl_check(
        cl().EnqueueFillBuffer(queue(), memory(to, offset, bytes), &zero, 1, offset, bytes, 0, nullptr, nullptr),
        "clEnqueueFillBuffer");
  }

  void copy(const GpuBuffer& from, size_t from_offset, const GpuBuffer& to, size_t to_offset, size_t bytes) override {
    if (bytes == 0) return;
    opencl_check(cl().EnqueueCopyBuffer(queue(), memory(from, from_offset, bytes), memory(to, to_offset, bytes),
                                        from_offset, to_offset, bytes, 0, nullptr, nullptr),
                 "clEnqueueCopyBuffer");
  }

  void download(const GpuBuffer& from, size_t offset, void* to, size_t bytes) override {
    if (bytes == 0) return finish();
    opencl_check(
        cl().EnqueueReadBuffer(queue(), memory(from, offset, bytes), CL_TRUE, offset, bytes, to, 0, nullptr, nullptr),
        "clEnqueueReadBuffer");
  }

  void finish() override { opencl_check(cl().Finish(queue()), "clFinish"); }

  WeightLayouts choose_layouts(const GraphRecord& graph, const int64_t* extents,
                               std::string_view kernel) const override {
    const OpenClKernel* forced = forced_kernel(kernel).forced;
    return choose_weight_layouts(graph, extents,
                                 [&](Format format) { return preferred_layout(shape_, format, forced); });
  }

  std::shared_ptr<const GpuWeight> weight(const std::shared_ptr<const Storage>& storage,
                                          const ChosenLayout* chosen) override {
    return weights_.get(*this, storage, chosen);
  }

  std::vector<std::unique_ptr<GpuStep>> prepare_batch(std::span<const GpuStepRequest> requests, Precision) override {
    std::vector<StepPlan> plans;
    std::vector<std::string> units;
    std::vector<ProgramFiles> files;
    std::map<std::string, std::pair<ProgramFiles, std::vector<std::string>>> programs;  // by the text of files
    for (const GpuStepRequest& request : requests) {
      LowerOptions lower = forced_kernel(request.kernel);
      lower.layouts = request.layouts;
      plans.push_back(lower_step(*request.graph, *request.step, request.max_extents, shape_, lower));
      units.push_back(plans.back().source());
      files.push_back(files_of(plans.back()));
      auto& [its_files, its_units] = programs[files.back().text];
      its_files = files.back();
      its_units.push_back(units.back());
    }
    for (const auto& [text, program] : programs) programs_->build_missing(program.second, program.first);
    std::vector<std::unique_ptr<GpuStep>> steps;
    for (size_t i = 0; i < plans.size(); ++i) {
      const BuiltUnit built = programs_->get(units[i], files[i]);
      steps.push_back(std::make_unique<OpenClStep>(state_, shape_, requests[i].step->name, std::move(plans[i]), built));
    }
    return steps;
  }

  GpuProgramStats program_stats() const override { return programs_->stats(); }

 private:
  cl_command_queue queue() const { return state_->queue.get(); }

  static ProgramFiles files_of(const StepPlan& plan) {
    ProgramFiles files;
    for (const auto& file : plan.files) {
      files.names += (files.names.empty() ? "'" : ", '") + file->path + "'";
      files.text += file_text(*file);
      for (const OpenClFile::Function& function : file->functions) {
        files.calls += "\nWeft calls " + function.name + "(" + function.parameters + ")";
      }
    }
    return files;
  }

  // Neither for an empty name.
  static LowerOptions forced_kernel(std::string_view name) {
    if (name.empty()) return {};
    LowerOptions options;
    options.forced = opencl_kernel_table().find(name);
    if (options.forced == nullptr) options.forced_rows = opencl_rows_table().find(name);
    if (options.forced == nullptr && options.forced_rows == nullptr) {
      throw Error("OpenCL has no kernel '" + std::string(name) + "'");
    }
    return options;
  }

  static cl_mem memory(const GpuBuffer& buffer, size_t offset, size_t bytes) {
    if (offset > buffer.bytes() || bytes > buffer.bytes() - offset) {
      throw Error("access to bytes " + std::to_string(offset) + " to " + std::to_string(offset + bytes) +
                  " of a device buffer of " + std::to_string(buffer.bytes()));
    }
    return buffer.impl()->memory.get();
  }

  GpuDeviceInfo info_;
  std::shared_ptr<OpenClState> state_;
  GpuShape shape_;
  std::unique_ptr<ProgramCache> programs_;
  GpuWeights weights_;
};

}  // namespace

std::unique_ptr<GpuDevice> GpuDevice::create(const GpuOptions& options) {
  return std::make_unique<OpenClDevice>(choose_device(options.device), options);
}

std::vector<GpuDeviceInfo> GpuDevice::list() {
  std::vector<GpuDeviceInfo> infos;
  for (FoundDevice& device : find_devices()) infos.push_back(std::move(device.info));
  return infos;
}

std::vector<const ProductRow*> GpuDevice::kernels() {
  const std::vector<const OpenClKernel*> rows = opencl_kernel_table().all();
  return {rows.begin(), rows.end()};
}

}  // namespace weft

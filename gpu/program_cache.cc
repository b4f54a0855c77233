#include "gpu/program_cache.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/error.h"

namespace weft {
namespace {

std::string hex(uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

std::string with_id(const std::string& unit, const std::string& id) {
  std::string text;
  size_t begin = 0;
  for (size_t at; (at = unit.find('@', begin)) != std::string::npos; begin = at + 1) {
    text.append(unit, begin, at - begin).append(id);
  }
  return text.append(unit, begin);
}

void dump(const std::string& source) {
  const char* folder = std::getenv("WEFT_DUMP_OPENCL");
  if (folder == nullptr || *folder == '\0') return;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  std::ofstream(std::string(folder) + "/" + hex(text_hash(source)) + ".cl") << source;
}

std::string build_log(cl_program program, cl_device_id device) {
  size_t size = 0;
  if (cl().GetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, 0, nullptr, &size) != CL_SUCCESS) return "";
  std::string log(size, '\0');
  cl().GetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, size, log.data(), nullptr);
  while (!log.empty() && (log.back() == '\0' || log.back() == '\n')) log.pop_back();
  constexpr size_t kMost = 4000;
  if (log.size() > kMost) log = log.substr(0, kMost) + "\n...";
  return log;
}

std::vector<unsigned char> binary_of(cl_program program) {
  size_t size = 0;
  if (cl().GetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, nullptr) != CL_SUCCESS) return {};
  std::vector<unsigned char> binary(size);
  unsigned char* data = binary.data();
  if (size == 0 || cl().GetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof data, &data, nullptr) != CL_SUCCESS) {
    return {};
  }
  return binary;
}

}  // namespace

ProgramCache::ProgramCache(cl_context context, cl_device_id device, std::string head, std::string folder, bool optimize)
    : context_(context), device_(device), head_(std::move(head)), folder_(std::move(folder)) {
  // No option that trades the semantics of NaN, infinity or the order of sums for speed.
  options_ = "-cl-std=CL1.2 -w";  // tests lint the texts; a driver's remarks do not help users
  if (!optimize) options_ += " -cl-opt-disable";
  cl_device_fp_config config = 0;
  if (cl().GetDeviceInfo(device, CL_DEVICE_SINGLE_FP_CONFIG, sizeof config, &config, nullptr) == CL_SUCCESS &&
      (config & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT) != 0) {
    options_ += " -cl-fp32-correctly-rounded-divide-sqrt";
  }
  identity_ = device_text(device, CL_DEVICE_NAME) + "\n" + device_text(device, CL_DEVICE_VENDOR) + "\n" +
              device_text(device, CL_DEVICE_VERSION) + "\n" + device_text(device, CL_DRIVER_VERSION) + "\n" + options_ +
              "\n";
}

GpuProgramStats ProgramCache::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

BuiltUnit ProgramCache::get(const std::string& unit, const ProgramFiles& files) {
  const std::lock_guard lock(mutex_);
  if (const auto found = units_.find(files.text + unit); found != units_.end()) {
    ++stats_.from_memory;
    return found->second;
  }
  build_missing_locked({unit}, files);
  return units_.at(files.text + unit);
}

void ProgramCache::build_missing(const std::vector<std::string>& units, const ProgramFiles& files) {
  const std::lock_guard lock(mutex_);
  build_missing_locked(units, files);
}

void ProgramCache::build_missing_locked(const std::vector<std::string>& units, const ProgramFiles& files) {
  std::string source = head_ + files.text;
  std::unordered_map<std::string, BuiltUnit> added;
  for (const std::string& unit : units) {
    const std::string key = files.text + unit;
    if (units_.count(key) != 0 || added.count(key) != 0) continue;
    const std::string id = hex(text_hash(key));
    added[key].id = id;
    source += with_id(unit, id);
  }
  if (added.empty()) return;
  const auto program = build(source, files);
  for (auto& [key, built] : added) {
    built.program = program;
    units_[key] = built;
  }
}

std::shared_ptr<const ClProgram> ProgramCache::build(const std::string& source, const ProgramFiles& files) {
  const auto start = std::chrono::steady_clock::now();
  dump(source);
  const std::string key = identity_ + source;
  const std::string path = folder_.empty() ? "" : folder_ + "/" + hex(text_hash(key)) + ".clbin";
  ClProgram program;
  if (!path.empty()) program = from_binary(read_program_file(path, key));
  if (program) {
    ++stats_.from_disk;
  } else {
    program = from_source(source, files);
    ++stats_.built;
    if (!path.empty()) {
      const std::vector<unsigned char> binary = binary_of(program.get());
      if (!binary.empty()) write_program_file(path, key, binary);
    }
  }
  stats_.build_seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return std::make_shared<const ClProgram>(std::move(program));
}

// Empty where the driver rejects it: the source is then built again.
ClProgram ProgramCache::from_binary(const std::vector<unsigned char>& binary) {
  if (binary.empty()) return {};
  const unsigned char* data = binary.data();
  const size_t size = binary.size();
  cl_int status = CL_SUCCESS, error = CL_SUCCESS;
  ClProgram program(cl().CreateProgramWithBinary(context_, 1, &device_, &size, &data, &status, &error));
  if (error != CL_SUCCESS || status != CL_SUCCESS) return {};
  if (cl().BuildProgram(program.get(), 1, &device_, options_.c_str(), nullptr, nullptr) != CL_SUCCESS) return {};
  return program;
}

ClProgram ProgramCache::from_source(const std::string& source, const ProgramFiles& files) {
  const char* text = source.c_str();
  const size_t size = source.size();
  cl_int error = CL_SUCCESS;
  ClProgram program(cl().CreateProgramWithSource(context_, 1, &text, &size, &error));
  opencl_check(error, "clCreateProgramWithSource");
  error = cl().BuildProgram(program.get(), 1, &device_, options_.c_str(), nullptr, nullptr);
  if (error != CL_SUCCESS) {
    const std::string what = files.text.empty() ? "OpenCL program" : "kernel file " + files.names;
    throw Error(what + " does not build on '" + device_text(device_, CL_DEVICE_NAME) +
                "': " + opencl_error_name(error) + "\n" + build_log(program.get(), device_) + files.calls);
  }
  return program;
}

}  // namespace weft

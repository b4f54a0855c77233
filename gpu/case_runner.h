// Runs a case on a device, as ops/harness/run_cpu.h does on the CPU: for tests, benchmarks and replay.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gpu/device.h"
#include "ops/harness/case.h"

namespace weft {

// Runs reset(), the step on `device`, and reads its outputs. With `guarded`, each value lies between guard bytes,
// which kernels must not change and which turn what reads them into NaN: throws weft::Error naming the value
// around which they changed. Without, it fills its buffer, so that a simulator sees each access past the end.
// Throws weft::Error.
Outputs run_gpu(GpuDevice& device, const StepCase& step_case, bool guarded = true);

// The same for many cases, whose programs are built together. `kernel`: the one to be used where it can serve. `ran`:
// gets the names of the kernels that were launched, by case.
std::vector<Outputs> run_gpu(GpuDevice& device, std::span<const StepCase> cases, bool guarded = true,
                             std::string_view kernel = {}, std::vector<std::set<std::string>>* ran = nullptr);

// Builds together what running these cases will need. Throws weft::Error.
void build_programs(GpuDevice& device, std::span<const StepCase> cases, std::string_view kernel);

// A case that is prepared once and run often, for timing. The device and the case outlive it.
class GpuCaseRunner {
 public:
  GpuCaseRunner(GpuDevice& device, const StepCase& step_case, std::string_view kernel = {});
  ~GpuCaseRunner();
  void run(int64_t times);  // and waits for the device
  // The names of the kernels that did the work so far.
  std::set<std::string> ran() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weft

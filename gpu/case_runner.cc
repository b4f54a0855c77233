#include "gpu/case_runner.h"

namespace weft {
namespace {

// The values of a case on a device, for the time of one run.
class DeviceCase {
 public:
  DeviceCase(GpuDevice& device, const StepCase& step_case, const GpuStep& step)
      : device_(device), case_(step_case) {
    step_case.reset();
    for (size_t v = 0; v < step_case.bytes.size(); ++v) {
      data_.push_back(upload(step_case.bytes[v].data(), step_case.bytes[v].size()));
    }
    for (const PageTable& table : step_case.pages) {
      const size_t sequences = static_cast<size_t>(table.sequences);
      pages_.push_back({upload(table.pages, 4 * sequences * static_cast<size_t>(table.max_pages)),
                        upload(table.length, 4 * sequences), table.sequences, table.max_pages, table.page_size});
    }
    scratch_ = {keep(device.allocate(step.scratch_bytes() + kShift)), kShift};
  }

  GpuArgs args() const { return {case_.extents.data(), data_.data(), pages_.data(), scratch_}; }

  Outputs outputs() const {
    Outputs result;
    for (const ValueId value : case_.written()) {
      std::vector<std::byte>& bytes = result.emplace_back(case_.bytes[value].size());
      device_.download(*data_[value].buffer, data_[value].offset, bytes.data(), bytes.size());
    }
    return result;
  }

 private:
  static constexpr size_t kShift = 64;

  const GpuBuffer* keep(GpuBuffer buffer) {
    buffers_.push_back(std::make_unique<GpuBuffer>(std::move(buffer)));
    return buffers_.back().get();
  }

  GpuSpan upload(const void* from, size_t bytes) {
    const size_t offset = buffers_.size() % 3 * kShift;
    const GpuBuffer* buffer = keep(device_.allocate(offset + bytes));
    device_.upload(*buffer, offset, from, bytes);
    return {buffer, offset};
  }

  GpuDevice& device_;
  const StepCase& case_;
  std::vector<std::unique_ptr<GpuBuffer>> buffers_;
  std::vector<GpuSpan> data_;
  std::vector<GpuPageTable> pages_;
  GpuSpan scratch_;
};

}  // namespace

Outputs run_gpu(GpuDevice& device, const StepCase& step_case) {
  return std::move(run_gpu(device, std::span(&step_case, 1)).front());
}

std::vector<Outputs> run_gpu(GpuDevice& device, std::span<const StepCase> cases) {
  std::vector<GpuStepRequest> requests;
  for (const StepCase& step_case : cases) {
    requests.push_back({&step_case.graph, &step_case.step(), step_case.max_extents.data()});
  }
  const auto steps = device.prepare_batch(requests, Precision::exact);
  std::vector<Outputs> outputs;
  for (size_t i = 0; i < cases.size(); ++i) {
    const DeviceCase on_device(device, cases[i], *steps[i]);
    steps[i]->run(on_device.args());
    outputs.push_back(on_device.outputs());
  }
  return outputs;
}

}  // namespace weft

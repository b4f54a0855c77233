#include "gpu/case_runner.h"

#include "core/error.h"

namespace weft {
namespace {

constexpr std::byte kGuard{0xff};

std::vector<std::byte> interleaved(const Storage& storage, const ChosenLayout& chosen) {
  const Interleaved to(storage.format, chosen.layout, chosen.shape);
  std::vector<std::byte> packed(to.bytes());
  to.pack_groups(storage.stored(), 0, chosen.shape.slices * to.groups(), packed.data());
  return packed;
}

// The values of a case on a device, during one run.
class DeviceCase {
 public:
  DeviceCase(GpuDevice& device, const StepCase& step_case, const GpuStep& step, const WeightLayouts& layouts,
             bool guarded)
      : device_(device), case_(step_case), guarded_(guarded) {
    step_case.reset();
    for (size_t v = 0; v < step_case.bytes.size(); ++v) {
      const ValueRecord& value = step_case.graph.values[v];
      const auto chosen = layouts.find(value.storage.get());
      if (chosen != layouts.end()) {
        const std::vector<std::byte> packed = interleaved(*value.storage, chosen->second);
        data_.push_back(upload(packed.data(), packed.size(), value.name));
      } else {
        data_.push_back(upload(step_case.bytes[v].data(), step_case.bytes[v].size(), value.name));
      }
    }
    for (const PageTable& table : step_case.pages) {
      const size_t sequences = static_cast<size_t>(table.sequences);
      const size_t pages = sequences * static_cast<size_t>(table.max_pages);
      std::vector<int32_t> first(sequences);
      for (size_t s = 0; s < sequences; ++s) first[s] = table.first_of(static_cast<int64_t>(s));
      pages_.push_back({upload(table.pages, 4 * pages, "page table"), upload(table.length, 4 * sequences, "lengths"),
                        table.sequences, table.max_pages, table.page_size,
                        upload(first.data(), 4 * sequences, "first keys")});
    }
    const std::vector<std::byte> scratch(step.scratch_bytes(), kGuard);
    scratch_ = upload(scratch.data(), scratch.size(), "scratch");
  }

  GpuArgs args(KernelNotes& notes) const {
    return {case_.extents.data(), data_.data(), pages_.data(), scratch_, &notes};
  }

  Outputs outputs() const {
    if (guarded_) check_guards();
    Outputs result;
    for (const ValueId value : case_.written()) {
      std::vector<std::byte>& bytes = result.emplace_back(case_.bytes[value].size());
      device_.download(*data_[value].buffer, data_[value].offset, bytes.data(), bytes.size());
    }
    return result;
  }

 private:
  struct Placed {
    std::unique_ptr<GpuBuffer> buffer;
    size_t offset = 0, bytes = 0;
    std::string name;
  };

  GpuSpan upload(const void* from, size_t bytes, const std::string& name) {
    const size_t offset = guarded_ ? 64 + placed_.size() % 3 * 64 : 0;
    const size_t after = guarded_ ? 256 : 0;
    Placed& placed = placed_.emplace_back();
    placed = {std::make_unique<GpuBuffer>(device_.allocate(offset + bytes + after)), offset, bytes, name};
    if (guarded_) {
      const std::vector<std::byte> all(placed.buffer->bytes(), kGuard);
      device_.upload(*placed.buffer, 0, all.data(), all.size());
    }
    device_.upload(*placed.buffer, offset, from, bytes);
    return {placed.buffer.get(), offset};
  }

  void check_guards() const {
    for (const Placed& placed : placed_) {
      std::vector<std::byte> all(placed.buffer->bytes());
      device_.download(*placed.buffer, 0, all.data(), all.size());
      for (size_t i = 0; i < all.size(); ++i) {
        if (i == placed.offset) i += placed.bytes;
        if (i < all.size() && all[i] != kGuard) {
          throw Error("case '" + case_.name() + "': a kernel wrote byte " +
                      std::to_string(static_cast<int64_t>(i) - static_cast<int64_t>(placed.offset)) + " of '" +
                      placed.name + "', which has " + std::to_string(placed.bytes));
        }
      }
    }
  }

  GpuDevice& device_;
  const StepCase& case_;
  bool guarded_;
  std::vector<Placed> placed_;
  std::vector<GpuSpan> data_;
  std::vector<GpuPageTable> pages_;
  GpuSpan scratch_;
};

std::vector<std::unique_ptr<GpuStep>> prepare(GpuDevice& device, std::span<const StepCase> cases,
                                              std::string_view kernel, std::vector<WeightLayouts>& layouts) {
  for (const StepCase& step_case : cases) {
    step_case.reset();
    layouts.push_back(device.choose_layouts(step_case.graph, step_case.max_extents.data(), kernel));
  }
  std::vector<GpuStepRequest> requests;
  for (size_t i = 0; i < cases.size(); ++i) {
    requests.push_back({&cases[i].graph, &cases[i].step(), cases[i].max_extents.data(), &layouts[i], kernel});
  }
  return device.prepare_batch(requests, Precision::exact);
}

std::set<std::string> names_of(const KernelNotes& notes) {
  std::set<std::string> names;
  for (const char* name : notes.names) {
    if (name != nullptr) names.insert(name);
  }
  return names;
}

}  // namespace

Outputs run_gpu(GpuDevice& device, const StepCase& step_case, bool guarded) {
  return std::move(run_gpu(device, std::span(&step_case, 1), guarded).front());
}

std::vector<Outputs> run_gpu(GpuDevice& device, std::span<const StepCase> cases, bool guarded, std::string_view kernel,
                             std::vector<std::set<std::string>>* ran) {
  std::vector<WeightLayouts> layouts;
  const auto steps = prepare(device, cases, kernel, layouts);
  std::vector<Outputs> outputs;
  for (size_t i = 0; i < cases.size(); ++i) {
    const DeviceCase on_device(device, cases[i], *steps[i], layouts[i], guarded);
    KernelNotes notes;
    steps[i]->run(on_device.args(notes));
    outputs.push_back(on_device.outputs());
    if (ran != nullptr) ran->push_back(names_of(notes));
  }
  return outputs;
}

void build_programs(GpuDevice& device, std::span<const StepCase> cases, std::string_view kernel) {
  std::vector<WeightLayouts> layouts;
  (void)prepare(device, cases, kernel, layouts);
}

struct GpuCaseRunner::State {
  GpuDevice& device;
  std::vector<WeightLayouts> layouts;
  std::unique_ptr<GpuStep> step;
  std::unique_ptr<DeviceCase> values;
  KernelNotes notes;
};

GpuCaseRunner::GpuCaseRunner(GpuDevice& device, const StepCase& step_case, std::string_view kernel)
    : state_(new State{device, {}, nullptr, nullptr, {}}) {
  state_->step = std::move(prepare(device, {&step_case, 1}, kernel, state_->layouts).front());
  state_->values = std::make_unique<DeviceCase>(device, step_case, *state_->step, state_->layouts.front(), false);
}

GpuCaseRunner::~GpuCaseRunner() = default;

void GpuCaseRunner::run(int64_t times) {
  const GpuArgs args = state_->values->args(state_->notes);
  for (int64_t i = 0; i < times; ++i) state_->step->run(args);
  state_->device.finish();
}

std::set<std::string> GpuCaseRunner::ran() const { return names_of(state_->notes); }

}  // namespace weft

// Runs a plan's steps on a GpuDevice: weights are uploaded once, inputs and page tables for each run.
#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "core/align.h"
#include "core/error.h"
#include "gpu/device.h"
#include "runtime/plan/executor.h"

namespace weft {

namespace {

class GpuCachePool final : public CachePool {
 public:
  GpuCachePool(std::shared_ptr<const GraphRecord> records, std::shared_ptr<GpuDevice> device,
               std::span<const int64_t> slots_of_group, int64_t state_slots, const int64_t* extents)
      : graph_(std::move(records)),
        device_(std::move(device)),
        fields_(graph_->values.size()),
        row_bytes_(graph_->values.size()) {
    const GraphRecord& graph = *graph_;
    slots_.assign(slots_of_group.begin(), slots_of_group.end());
    state_slots_ = state_slots;
    const auto allocate = [&](ValueId value, int64_t rows) {
      row_bytes_[value] = slot_bytes(graph, value, extents);
      const size_t bytes = row_bytes_[value] * static_cast<size_t>(rows);
      if (bytes == 0) return;
      fields_[value] = device_->allocate(bytes);
      device_->fill_zero(fields_[value], 0, bytes);
      bytes_ += bytes;
    };
    for (const CacheRecord& cache : graph.caches) {
      for (const ValueId value : cache_values(cache)) allocate(value, slots(cache.group));
    }
    for (const StateRecord& state : graph.states) allocate(state.value, state_slots);
  }

  const GraphRecord* graph() const { return graph_.get(); }
  GpuSpan span(ValueId value) const { return {&fields_[value], 0}; }

  void copy_slots(int group, int64_t from, int64_t to, int64_t count) override {
    for (const CacheRecord& cache : graph_->caches) {
      if (cache.group != group) continue;
      for (const ValueId value : cache_values(cache)) {
        const size_t row = row_bytes_[value];
        if (row == 0) continue;
        device_->copy(fields_[value], static_cast<size_t>(from) * row, fields_[value], static_cast<size_t>(to) * row,
                      static_cast<size_t>(count) * row);
      }
    }
  }

  void read_slots(ValueId field, int64_t first, int64_t count, std::byte* to) const override {
    const size_t row = row_bytes_[field], bytes = static_cast<size_t>(count) * row;
    if (bytes != 0) device_->download(fields_[field], static_cast<size_t>(first) * row, to, bytes);
  }

 private:
  std::shared_ptr<const GraphRecord> graph_;
  std::shared_ptr<GpuDevice> device_;
  std::vector<GpuBuffer> fields_;  // by ValueId
  std::vector<size_t> row_bytes_;  // by ValueId
};

// Null where none is asked for. Throws Error for a name that the table does not have.
const ProductRow* forced_kernel(const std::string& name) {
  if (name.empty()) return nullptr;
  for (const ProductRow* row : GpuDevice::kernels()) {
    if (row->name == name) return row;
  }
  throw Error("no kernel of contractions is called '" + name + "' on OpenCL: there are " + opencl_kernel_names());
}

class GpuExecutor final : public Executor {
 public:
  GpuExecutor(std::shared_ptr<const GraphRecord> records, std::shared_ptr<GpuDevice> device)
      : records_(std::move(records)),
        graph_(*records_),
        device_(std::move(device)),
        data_(graph_.values.size()),
        input_offsets_(graph_.values.size()) {}

  std::vector<StepInfo> select_kernels(const ExtentTable& limits, const PlanOptions& options,
                                       const Schedule&) override {
    const ProductRow* forced = forced_kernel(options.kernel);
    const WeightLayouts layouts = device_->choose_layouts(graph_, limits.data(), options.kernel);
    std::vector<GpuStepRequest> requests;
    for (const Step& step : graph_.steps) requests.push_back({&graph_, &step, limits.data(), &layouts, options.kernel});
    steps_ = device_->prepare_batch(requests, options.precision);
    std::vector<StepInfo> chosen;
    bool serves = false;
    for (const auto& step : steps_) {
      const std::vector<KernelRange>& kernels = step->kernels();
      chosen.push_back({.kernel = kernel_text(kernels), .kernels = kernels, .scratch_bytes = step->scratch_bytes()});
      serves = serves ||
               std::ranges::any_of(kernels, [&](const KernelRange& range) { return range.name == options.kernel; });
    }
    if (forced != nullptr && !serves) throw Error(cannot_serve(*forced, options.precision));
    upload_weights(layouts);
    size_t bytes = 0;
    for (size_t i = 0; i < graph_.values.size(); ++i) {
      if (graph_.values[i].kind != ValueKind::input) continue;
      input_offsets_[i] = bytes;
      bytes += align_up(value_bytes(graph_, static_cast<ValueId>(i), limits.data()));
    }
    inputs_ = device_->allocate(std::max(bytes, kCacheLine));
    return chosen;
  }

  size_t packed_weight_bytes() const override { return packed_bytes_; }
  size_t replaced_weight_bytes() const override { return replaced_bytes_; }

  bool overlaps_steps() const override { return false; }  // the queue is in order

  void allocate(const ArenaLayout& arena, const Schedule& schedule) override {
    schedule_ = &schedule;
    scratch_ = arena.scratch;
    arena_ = device_->allocate(std::max(arena.bytes, kCacheLine));
    for (size_t i = 0; i < graph_.values.size(); ++i) {
      if (arena.offsets[i] != ArenaLayout::kNotInArena) data_[i] = {&arena_, arena.offsets[i]};
      if (graph_.values[i].kind == ValueKind::input) data_[i] = {&inputs_, input_offsets_[i]};
    }
    tables_.resize(graph_.caches.size());
    args_pages_.resize(graph_.caches.size());
  }

  void run(const RunArgs& args, const RunRecords& records) override {
    StepInfo* const profile = records.profile;
    const bool waits = profile != nullptr || records.trace != nullptr;
    using Clock = std::chrono::steady_clock;
    const auto called = Clock::now();
    auto* pool = dynamic_cast<GpuCachePool*>(args.pool);
    check_pool(graph_, pool == nullptr ? nullptr : pool->graph());
    for (size_t i = 0; i < graph_.values.size(); ++i) {
      const ValueRecord& value = graph_.values[i];
      const auto id = static_cast<ValueId>(i);
      if (value.kind == ValueKind::input) {
        const size_t bytes = value_bytes(graph_, id, args.extents);
        if (bytes != 0) device_->upload(inputs_, input_offsets_[i], args.inputs[i], bytes);
      }
      if (value.has_slots()) data_[i] = pool->span(id);
    }
    for (size_t c = 0; c < graph_.caches.size(); ++c) args_pages_[c] = upload_pages(c, args.pages);
    KernelNotes notes;
    GpuArgs gpu_args{args.extents, data_.data(), args_pages_.data(), {&arena_, 0}, profile ? &notes : nullptr};
    if (waits) device_->finish();
    auto begin = Clock::now();
    if (profile != nullptr) records.starts->add(std::chrono::duration<double>(begin - called).count());
    for (const StepGroup& group : schedule_->groups) {
      for (const size_t i : group.steps) {
        gpu_args.scratch.offset = scratch_[i];
        steps_[i]->run(gpu_args);
        if (!waits) continue;
        device_->finish();
        const auto started = std::exchange(begin, Clock::now());
        if (records.trace != nullptr) records.trace->add(0, {started, begin, static_cast<int64_t>(i)});
        if (profile == nullptr) continue;
        profile[i].times.add(std::chrono::duration<double>(begin - started).count());
        profile[i].note(notes.names);
        notes = {};
      }
    }
  }

  const void* read(ValueId value, size_t bytes) override {
    std::vector<std::byte>& host = results_[value];
    if (host.size() < bytes) host.resize(bytes);
    if (bytes != 0) device_->download(*data_[value].buffer, data_[value].offset, host.data(), bytes);
    return host.data();
  }

  std::shared_ptr<CachePool> make_cache_pool(std::span<const int64_t> slots_of_group, int64_t state_slots,
                                             const int64_t* extents) override {
    return std::make_shared<GpuCachePool>(records_, device_, slots_of_group, state_slots, extents);
  }

 private:
  struct DeviceTable {
    GpuBuffer pages, length, first;
  };

  void upload_weights(const WeightLayouts& layouts) {
    for (size_t i = 0; i < graph_.values.size(); ++i) {
      const ValueRecord& value = graph_.values[i];
      if (value.kind != ValueKind::weight) continue;
      std::shared_ptr<const GpuWeight>& weight = weights_[value.storage.get()];
      if (weight == nullptr) {
        const auto chosen = layouts.find(value.storage.get());
        weight = device_->weight(value.storage, chosen == layouts.end() ? nullptr : &chosen->second);
        if (chosen != layouts.end()) {
          packed_bytes_ += weight->buffer.bytes();
          replaced_bytes_ += value.storage->bytes();
        }
      }
      data_[i] = {&weight->buffer, 0};
    }
  }

  // Caches whose host tables are the same share the copy on the device.
  GpuPageTable upload_pages(size_t cache, const PageTable* tables) {
    const PageTable& table = tables[cache];
    for (size_t before = 0; before < cache; ++before) {
      if (tables[before] == table) return args_pages_[before];
    }
    const auto upload = [this](GpuBuffer& buffer, const int32_t* from, size_t count) {
      const size_t bytes = count * sizeof(int32_t);
      if (buffer.bytes() < std::max(bytes, kCacheLine)) buffer = device_->allocate(std::max(bytes, kCacheLine));
      if (bytes != 0) device_->upload(buffer, 0, from, bytes);
    };
    DeviceTable& on_device = tables_[cache];
    const auto sequences = static_cast<size_t>(table.sequences);
    upload(on_device.pages, table.pages, sequences * static_cast<size_t>(table.max_pages));
    upload(on_device.length, table.length, sequences);
    if (table.first == nullptr) zeros_.resize(std::max(zeros_.size(), sequences));
    upload(on_device.first, table.first != nullptr ? table.first : zeros_.data(), sequences);
    return {{&on_device.pages, 0}, {&on_device.length, 0}, table.sequences,
            table.max_pages,       table.page_size,        {&on_device.first, 0}};
  }

  std::shared_ptr<const GraphRecord> records_;
  const GraphRecord& graph_;
  std::shared_ptr<GpuDevice> device_;
  std::vector<std::unique_ptr<GpuStep>> steps_;
  const Schedule* schedule_ = nullptr;
  std::vector<size_t> scratch_;  // by step: offset in the arena
  std::map<const Storage*, std::shared_ptr<const GpuWeight>> weights_;
  size_t packed_bytes_ = 0, replaced_bytes_ = 0;
  GpuBuffer arena_, inputs_;
  std::vector<GpuSpan> data_;             // by ValueId
  std::vector<size_t> input_offsets_;     // by ValueId
  std::vector<DeviceTable> tables_;       // by cache
  std::vector<GpuPageTable> args_pages_;  // by cache, of the current run
  std::vector<int32_t> zeros_;
  std::map<ValueId, std::vector<std::byte>> results_;
};

}  // namespace

std::unique_ptr<Executor> make_gpu_executor(std::shared_ptr<const GraphRecord> graph,
                                            std::shared_ptr<GpuDevice> device) {
  return std::make_unique<GpuExecutor>(std::move(graph), std::move(device));
}

}  // namespace weft

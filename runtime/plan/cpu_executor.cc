// Runs a plan's steps on the threads of an OpenMP team.
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <optional>

#include "core/aligned_bytes.h"
#include "core/error.h"
#include "core/pages.h"
#include "ops/cpu/claims.h"
#include "ops/cpu/kernel.h"
#include "runtime/plan/cpus.h"
#include "runtime/plan/executor.h"
#include "runtime/plan/pack_cache.h"
#include "runtime/plan/team_size.h"

namespace weft {

namespace {

class CpuCachePool final : public CachePool {
 public:
  CpuCachePool(std::shared_ptr<const GraphRecord> records, std::span<const int64_t> slots_of_group, int64_t state_slots,
               const int64_t* extents)
      : graph_(std::move(records)), fields_(graph_->values.size()), row_bytes_(graph_->values.size()) {
    const GraphRecord& graph = *graph_;
    slots_.assign(slots_of_group.begin(), slots_of_group.end());
    state_slots_ = state_slots;
    const auto allocate = [&](ValueId value, int64_t rows) {
      row_bytes_[value] = slot_bytes(graph, value, extents);
      fields_[value] = AlignedBytes(row_bytes_[value] * static_cast<size_t>(rows));
      use_huge_pages(fields_[value].data(), fields_[value].data() + fields_[value].size());
      bytes_ += fields_[value].size();
    };
    for (const CacheRecord& cache : graph.caches) {
      for (const ValueId value : cache_values(cache)) allocate(value, slots(cache.group));
    }
    for (const StateRecord& state : graph.states) allocate(state.value, state_slots);
  }

  const GraphRecord* graph() const { return graph_.get(); }
  std::byte* data(ValueId value) const { return fields_[value].data(); }

  void copy_slots(int group, int64_t from, int64_t to, int64_t count) override {
    for (const CacheRecord& cache : graph_->caches) {
      if (cache.group != group) continue;
      const auto copy = [&](ValueId value) {
        const size_t row = row_bytes_[value];
        std::byte* data = fields_[value].data();
        std::memmove(data + static_cast<size_t>(to) * row, data + static_cast<size_t>(from) * row,
                     static_cast<size_t>(count) * row);
      };
      for (const ValueId field : cache.fields) copy(field);
      if (cache.positions != kNoValue) copy(cache.positions);
    }
  }

  void read_slots(ValueId field, int64_t first, int64_t count, std::byte* to) const override {
    const size_t row = row_bytes_[field];
    std::memcpy(to, fields_[field].data() + static_cast<size_t>(first) * row, static_cast<size_t>(count) * row);
  }

 private:
  std::shared_ptr<const GraphRecord> graph_;
  std::vector<AlignedBytes> fields_;  // by ValueId
  std::vector<size_t> row_bytes_;     // by ValueId
};

// Null where none is asked for. Throws Error for a name that the table does not have, and for a kernel that this
// machine cannot run.
const ProductKernel* forced_kernel(const std::string& name) {
  if (name.empty()) return nullptr;
  const ProductKernel* kernel = kernel_table().find_product(name);
  if (kernel == nullptr) {
    throw Error("no kernel of contractions is called '" + name + "' on the CPU: there are " + cpu_kernel_names());
  }
  if (!kernel->is_available()) {
    throw Error("kernel '" + name + "' needs a CPU with " + kernel->features + ", which this one lacks");
  }
  return kernel;
}

class CpuExecutor final : public Executor {
 public:
  CpuExecutor(std::shared_ptr<const GraphRecord> records, const Device& device)
      : records_(std::move(records)),
        graph_(*records_),
        device_weights_(device.packed_weights()),
        threads_(device.threads()),
        is_adaptive_(device.team_policy() == TeamPolicy::adaptive && threads_ > 1),
        data_(graph_.values.size()),
        meeting_(threads_, threads_ <= usable_cpus()),
        claims_(threads_),
        team_size_(threads_, online_cpus()),
        notes_(2 * static_cast<size_t>(threads_)) {}

  std::vector<StepInfo> select_kernels(const ExtentTable& limits, const PlanOptions& options,
                                       const Schedule& schedule) override {
    const ProductKernel* forced = forced_kernel(options.kernel);
    pack_weights(choose_weight_layouts(graph_, limits.data(), forced), limits, options);
    std::vector<StepInfo> chosen(graph_.steps.size());
    kernels_.resize(graph_.steps.size());
    bool serves = false;
    for (const StepGroup& group : schedule.groups) {
      groups_.push_back({GroupRows(group.shared_rows), group.steps});
      for (const size_t i : group.steps) {
        const KernelContext context{graph_,   graph_.steps[i], limits.data(), options.precision,
                                    threads_, &*weights_,      forced,        &groups_.back().rows};
        kernels_[i] = select_cpu_kernel(context);
        const CpuKernel& kernel = *kernels_[i];
        chosen[i] = {.kernel = kernel.name(), .kernels = kernel.kernels(), .scratch_bytes = kernel.scratch_bytes()};
        serves = serves || std::ranges::any_of(chosen[i].kernels,
                                               [&](const KernelRange& range) { return range.name == options.kernel; });
      }
    }
    if (forced != nullptr && !serves) throw Error(cannot_serve(*forced, options.precision));
    return chosen;
  }

  size_t packed_weight_bytes() const override { return weights_ ? weights_->packed_bytes() : 0; }
  size_t mapped_weight_bytes() const override { return weights_ ? weights_->mapped_bytes() : 0; }
  size_t replaced_weight_bytes() const override { return weights_ ? weights_->replaced_bytes() : 0; }

  std::vector<GroupScratch> group_scratch() const override {
    std::vector<GroupScratch> all;
    for (const Group& group : groups_) {
      if (group.rows.bytes(threads_) != 0) all.push_back({group.rows.bytes(threads_), group.steps});
    }
    return all;
  }

  bool overlaps_steps() const override { return threads_ > 1; }

  void allocate(const ArenaLayout& arena, const Schedule& schedule) override {
    schedule_ = &schedule;
    arena_ = AlignedBytes(arena.bytes);
    scratch_ = arena.scratch;
    group_ = arena.group;
    barriers_.resize(schedule.groups.size());
    for (size_t i = 0; i < graph_.values.size(); ++i) {
      const ValueRecord& value = graph_.values[i];
      // What reads an interleaved weight was given its address when it was made.
      const bool is_stored = !weights_ || weights_->layout_of(static_cast<ValueId>(i)) == nullptr;
      if (value.kind == ValueKind::weight && is_stored) data_[i] = const_cast<std::byte*>(value.storage->stored());
      if (arena.offsets[i] != ArenaLayout::kNotInArena) data_[i] = arena_.data() + arena.offsets[i];
    }
  }

  void run(const RunArgs& args, const RunRecords& records) override {
    called_ = Clock::now();
    auto* pool = dynamic_cast<CpuCachePool*>(args.pool);
    check_pool(graph_, pool == nullptr ? nullptr : pool->graph());
    for (size_t i = 0; i < graph_.values.size(); ++i) {
      const ValueRecord& value = graph_.values[i];
      // Kernels write only to a step's outputs, which inputs never are.
      if (value.kind == ValueKind::input) data_[i] = const_cast<void*>(args.inputs[i]);
      if (value.has_slots()) data_[i] = pool->data(static_cast<ValueId>(i));
    }
    const StepArgs step_args{args.extents, data_.data(), args.pages};
    // Profiles show what a step takes with all threads.
    if (!is_adaptive_ || records.profile != nullptr) {
      run_team(step_args, threads_, records);
      return;
    }
    const auto begin = called_;
    // After a pause the team sleeps, so every task that is ready belongs to another program.
    if (begin - ended_ > kReadingsApart) read_load(begin, 1, true);
    run_team(step_args, team_size_.next(kind_of(args.extents)), records);
    ended_ = Clock::now();
    team_size_.ran(std::chrono::duration<double>(ended_ - begin).count());
  }

  std::span<const int64_t> barriers() const override { return barriers_; }

  const void* read(ValueId value, size_t) override { return data_[value]; }

  std::shared_ptr<CachePool> make_cache_pool(std::span<const int64_t> slots_of_group, int64_t state_slots,
                                             const int64_t* extents) override {
    return std::make_shared<CpuCachePool>(records_, slots_of_group, state_slots, extents);
  }

 private:
  void pack_weights(WeightLayouts layouts, const ExtentTable& limits, const PlanOptions& options) {
    const std::vector<WantedWeight> wanted = wanted_weights(graph_, layouts);
    std::vector<PackedWeightPtr> packed =
        options.pack_cache.empty()
            ? device_weights_->interleaved(wanted, threads_)
            : interleaved_with_cache(*device_weights_, wanted, threads_, options.pack_cache, options.warn);
    weights_.emplace(graph_, limits.data(), std::move(layouts), std::move(packed), *device_weights_);
  }

  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kReadingsApart{1};

  // Equal for runs with equal run-time extents.
  uint64_t kind_of(const int64_t* extents) const {
    uint64_t kind = 0xcbf29ce484222325;  // FNV-1a, by words
    for (size_t i = 0; i < graph_.axes.size(); ++i) kind = (kind ^ static_cast<uint64_t>(extents[i])) * 0x100000001b3;
    return kind;
  }

  void read_load(Clock::time_point now, int own, bool certain) {
    read_ = now;
    team_size_.saw_ready(ready_.count() - own, certain);
  }

  void run_team(const StepArgs& args, int threads, const RunRecords& records) {
    if (threads == 1) {
      run_groups(args, Team{0, 1, &meeting_, nullptr, records.trace}, records);
      return;
    }
    sleep_between_regions();
    claims_.reset();
#pragma omp parallel num_threads(threads)
    {
      run_groups(args, Team{omp_get_thread_num(), omp_get_num_threads(), &meeting_, &claims_, records.trace}, records);
    }
  }

  // Called by every thread of the team. The steps of a group follow each other without a barrier: a thread may begin
  // the next while others are in the one before. Only a profiled run waits after each, to tell their times apart: a
  // step lasts until the last thread has done its share, and the next begins there.
  void run_groups(StepArgs args, const Team& team, const RunRecords& records) {
    StepInfo* const profile = records.profile;
    size_t set = 0;  // the notes of a step are read while those of the next are written
    const bool timing = profile != nullptr && team.thread == 0;
    if (profile != nullptr) team.barrier();  // all threads are awake
    auto begin = timing ? Clock::now() : Clock::time_point();
    if (timing) records.starts->add(std::chrono::duration<double>(begin - called_).count());
    for (size_t g = 0; g < schedule_->groups.size(); ++g) {
      const std::vector<size_t>& steps = schedule_->groups[g].steps;
      const int64_t met = team.thread == 0 ? meeting_.meetings() : 0;
      for (const size_t i : steps) {
        args.scratch = arena_.data() + scratch_[i];
        if (profile != nullptr) args.notes = notes_.data() + set * static_cast<size_t>(threads_);
        args.group = group_[i] == ArenaLayout::kNotInArena ? nullptr : arena_.data() + group_[i];
        if (records.trace != nullptr) {
          const auto started = Clock::now();
          kernels_[i]->run(args, team);
          records.trace->add(team.thread, {started, Clock::now(), static_cast<int64_t>(i)});
        } else {
          kernels_[i]->run(args, team);
        }
        if (profile == nullptr && i != steps.back()) continue;
        team.barrier();
        if (profile == nullptr) continue;
        set = 1 - set;
        if (!timing) continue;
        const auto end = Clock::now();
        profile[i].times.add(std::chrono::duration<double>(end - begin).count());
        begin = end;
        for (int thread = 0; thread < threads_; ++thread) {
          profile[i].note(args.notes[thread].names);
          args.notes[thread] = {};
        }
      }
      if (team.thread != 0) continue;
      barriers_[g] = meeting_.meetings() - met - (profile != nullptr ? static_cast<int64_t>(steps.size()) - 1 : 0);
      // In the middle of a run all threads of the team are awake, and the reader of this program's output has done
      // its work.
      if (is_adaptive_ && g == schedule_->groups.size() / 2) {
        if (const auto now = Clock::now(); now - read_ > kReadingsApart) read_load(now, team.threads, false);
      }
    }
  }

  std::shared_ptr<const GraphRecord> records_;
  const GraphRecord& graph_;
  std::shared_ptr<PackedWeights> device_weights_;
  int threads_;
  bool is_adaptive_;
  std::optional<PlanWeights> weights_;
  struct Group {  // of the schedule that kernels were selected for
    GroupRows rows;
    std::vector<size_t> steps;
  };
  std::deque<Group> groups_;  // kernels refer to their group's rows
  std::vector<std::unique_ptr<CpuKernel>> kernels_;
  const Schedule* schedule_ = nullptr;
  AlignedBytes arena_;
  std::vector<size_t> scratch_;    // by step: offset in the arena
  std::vector<size_t> group_;      // the same of what its group shares
  std::vector<int64_t> barriers_;  // by group, of the last run; written by thread 0
  std::vector<void*> data_;        // by ValueId
  TeamBarrier meeting_;
  TeamClaims claims_;
  TeamSize team_size_;
  ReadyTasks ready_;
  std::vector<KernelNotes> notes_;  // two sets, by thread, while a run is profiled
  // When the last run was called and when it ended, and of the last reading.
  Clock::time_point called_, ended_, read_;
};

}  // namespace

std::unique_ptr<Executor> make_cpu_executor(std::shared_ptr<const GraphRecord> graph, const Device& device) {
  return std::make_unique<CpuExecutor>(std::move(graph), device);
}

}  // namespace weft

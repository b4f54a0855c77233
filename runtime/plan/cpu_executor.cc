// Runs a plan's steps on the threads of an OpenMP team.
#include <omp.h>

#include <chrono>
#include <cstring>
#include <optional>

#include "core/aligned_bytes.h"
#include "core/error.h"
#include "ops/cpu/kernel.h"
#include "runtime/plan/cpus.h"
#include "runtime/plan/executor.h"
#include "runtime/plan/team_size.h"
#include "runtime/plan/weight_packer.h"

namespace weft {

namespace {

class CpuCachePool final : public CachePool {
 public:
  CpuCachePool(std::shared_ptr<const GraphRecord> records, std::span<const int64_t> slots_of_group,
               const int64_t* extents)
      : graph_(std::move(records)), fields_(graph_->values.size()), row_bytes_(graph_->values.size()) {
    const GraphRecord& graph = *graph_;
    slots_.assign(slots_of_group.begin(), slots_of_group.end());
    for (const CacheRecord& cache : graph.caches) {
      const auto rows = static_cast<size_t>(slots(cache.group));
      for (const ValueId value : cache_values(cache)) {
        row_bytes_[value] = cache_row_bytes(graph, value, extents);
        fields_[value] = AlignedBytes(row_bytes_[value] * rows);
        bytes_ += fields_[value].size();
      }
    }
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

class CpuExecutor final : public Executor {
 public:
  CpuExecutor(std::shared_ptr<const GraphRecord> records, int threads, TeamPolicy policy)
      : records_(std::move(records)),
        graph_(*records_),
        threads_(threads),
        is_adaptive_(policy == TeamPolicy::adaptive && threads > 1),
        data_(graph_.values.size()),
        meeting_(threads, threads <= usable_cpus()),
        team_size_(threads, online_cpus()) {}

  std::vector<StepInfo> select_kernels(const ExtentTable& limits, Precision precision) override {
    weights_.emplace(graph_, limits.data());
    std::vector<StepInfo> chosen;
    for (const Step& step : graph_.steps) {
      const KernelContext context{graph_, step, limits.data(), precision, threads_, &*weights_};
      std::unique_ptr<CpuKernel> kernel = select_cpu_kernel(context);
      if (kernel == nullptr) {
        throw Error("step '" + step.name + "': no CPU kernel takes this " + std::string(name(step.kind)) + " step");
      }
      chosen.push_back({kernel->name(), kernel->scratch_bytes()});
      kernels_.push_back(std::move(kernel));
    }
    return chosen;
  }

  size_t packed_weight_bytes() const override { return weights_ ? weights_->bytes() : 0; }

  void allocate(const ArenaLayout& arena, size_t scratch_bytes) override {
    arena_ = AlignedBytes(arena.bytes);
    scratch_ = AlignedBytes(scratch_bytes);
    for (size_t i = 0; i < graph_.values.size(); ++i) {
      const ValueRecord& value = graph_.values[i];
      if (value.kind == ValueKind::weight) data_[i] = value.storage->data;
      if (arena.offsets[i] != ArenaLayout::kNotInArena) data_[i] = arena_.data() + arena.offsets[i];
    }
  }

  void run(const RunArgs& args, StepInfo* profile) override {
    auto* pool = dynamic_cast<CpuCachePool*>(args.pool);
    if (!graph_.caches.empty() && (pool == nullptr || pool->graph() != &graph_)) {
      throw Error("the caches bound to this run belong to another plan's graph or device");
    }
    for (size_t i = 0; i < graph_.values.size(); ++i) {
      const ValueRecord& value = graph_.values[i];
      // Kernels write only to a step's outputs, which inputs never are.
      if (value.kind == ValueKind::input) data_[i] = const_cast<void*>(args.inputs[i]);
      if (value.is_cached()) data_[i] = pool->data(static_cast<ValueId>(i));
    }
    const StepArgs step_args{args.extents, data_.data(), args.pages, scratch_.data()};
    // Profiles show what a step takes with all threads.
    if (!is_adaptive_ || profile != nullptr) {
      run_team(step_args, threads_, profile);
      return;
    }
    const auto begin = Clock::now();
    // After a pause the team sleeps, so every task that is ready belongs to another program.
    if (begin - ended_ > kReadingsApart) read_load(begin, 1, true);
    run_team(step_args, team_size_.next(kind_of(args.extents)), nullptr);
    ended_ = Clock::now();
    team_size_.ran(std::chrono::duration<double>(ended_ - begin).count());
  }

  const void* read(ValueId value, size_t) override { return data_[value]; }

  std::shared_ptr<CachePool> make_cache_pool(std::span<const int64_t> slots_of_group, const int64_t* extents) override {
    return std::make_shared<CpuCachePool>(records_, slots_of_group, extents);
  }

 private:
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

  void run_team(const StepArgs& args, int threads, StepInfo* profile) {
    if (threads == 1) {
      run_steps(args, Team{}, profile);
      return;
    }
#pragma omp parallel num_threads(threads)
    {
      const int started = omp_get_num_threads();
      run_steps(args, Team{omp_get_thread_num(), started, started > 1 ? &meeting_ : nullptr}, profile);
    }
  }

  void run_steps(const StepArgs& args, const Team& team, StepInfo* profile) {
    const bool timing = profile != nullptr && team.thread == 0;
    auto begin = timing ? Clock::now() : Clock::time_point();
    for (size_t i = 0; i < kernels_.size(); ++i) {
      kernels_[i]->run(args, team);
      team.barrier();
      if (timing) {
        const auto end = Clock::now();
        profile[i].seconds += std::chrono::duration<double>(end - begin).count();
        profile[i].runs += 1;
        begin = end;
      }
      // In the middle of a run all threads of the team are awake, and the reader of this program's output has done
      // its work.
      if (is_adaptive_ && team.thread == 0 && i == kernels_.size() / 2) {
        if (const auto now = Clock::now(); now - read_ > kReadingsApart) read_load(now, team.threads, false);
      }
    }
  }

  std::shared_ptr<const GraphRecord> records_;
  const GraphRecord& graph_;
  int threads_;
  bool is_adaptive_;
  std::optional<PackedWeights> weights_;
  std::vector<std::unique_ptr<CpuKernel>> kernels_;
  AlignedBytes arena_, scratch_;
  std::vector<void*> data_;  // by ValueId
  TeamBarrier meeting_;
  TeamSize team_size_;
  ReadyTasks ready_;
  Clock::time_point ended_, read_;  // of the last run, and of the last reading
};

}  // namespace

std::unique_ptr<Executor> make_cpu_executor(std::shared_ptr<const GraphRecord> graph, int threads, TeamPolicy policy) {
  return std::make_unique<CpuExecutor>(std::move(graph), threads, policy);
}

}  // namespace weft

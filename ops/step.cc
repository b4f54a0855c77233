#include "ops/step.h"

#include <hwy/cache_control.h>

#include <algorithm>

#include "core/error.h"

namespace weft {

std::string_view name(Precision precision) { return precision == Precision::exact ? "exact" : "fast"; }

void TeamBarrier::wait(int threads) {
  // 50 to 100 us: what waking a sleeping thread costs, so that waiting never costs more than twice the best choice.
  constexpr int kLooks = 2000;
  const int32_t generation = generation_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == threads - 1) {
    arrived_.store(0, std::memory_order_relaxed);
    generation_.store(generation + 1, std::memory_order_release);
    generation_.notify_all();
    return;
  }
  for (int look = 0; has_cpus_ && look < kLooks; ++look) {
    if (generation_.load(std::memory_order_acquire) != generation) return;
    hwy::Pause();
  }
  while (generation_.load(std::memory_order_acquire) == generation) {
    generation_.wait(generation, std::memory_order_acquire);
  }
}

void Team::barrier() const {
  if (meeting != nullptr) {
    meeting->wait(threads);
  } else if (threads > 1) {
#pragma omp barrier
  }
}

Range share(int64_t count, int64_t grain, const Team& team) {
  const int64_t grains = (count + grain - 1) / grain;
  const int64_t base = grains / team.threads;
  const int64_t extra = grains % team.threads;
  const int64_t first = team.thread * base + std::min<int64_t>(team.thread, extra);
  const int64_t last = first + base + (team.thread < extra ? 1 : 0);
  return {std::min(first * grain, count), std::min(last * grain, count)};
}

std::unique_ptr<CpuKernel> select_cpu_kernel(const KernelContext& context) {
  switch (context.step.kind) {
    case StepKind::map:
      if (auto kernel = make_gather_kernel(context)) return kernel;
      return make_map_kernel(context);
    case StepKind::reduce: return make_reduce_kernel(context);
    case StepKind::contract: return make_contract_kernel(context);
    case StepKind::attention: return make_attention_kernel(context);
    case StepKind::append: return make_append_kernel(context);
    case StepKind::scan:
    case StepKind::custom: break;
  }
  throw Error("step '" + context.step.name + "': no CPU kernel for steps of kind " +
              std::string(name(context.step.kind)));
}

}  // namespace weft

#include "ops/cpu/team.h"

#include <sched.h>

#include <hwy/cache_control.h>

#include <algorithm>
#include <cstdlib>

#include "ops/cpu/team_trace.h"

// Of libomp, whose omp.h other compilers do not have.
extern "C" void kmp_set_blocktime(int milliseconds);

namespace weft {

void sleep_between_regions() {
  static const bool is_set = std::getenv("KMP_BLOCKTIME") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr;
  thread_local bool is_done = false;
  if (is_set || is_done) return;
  kmp_set_blocktime(0);
  is_done = true;
}

TeamBarrier::TeamBarrier(int threads, bool has_cpus) : has_cpus_(has_cpus), cpu_(static_cast<size_t>(threads)) {
  for (std::atomic<int32_t>& cpu : cpu_) cpu.store(-1, std::memory_order_relaxed);
}

bool TeamBarrier::shares_cpu(int thread, int threads) const {
  const auto cpu = [&](int i) { return cpu_[static_cast<size_t>(i)].load(std::memory_order_relaxed); };
  for (int other = 0; other < threads; ++other) {
    if (other != thread && cpu(other) == cpu(thread)) return true;
  }
  return false;
}

void TeamBarrier::wait(int thread, int threads) {
  if (thread == 0) ++meetings_;
  if (threads == 1) return;
  // 50 to 100 us: what waking a sleeping thread costs, so that waiting never costs more than twice the best choice.
  constexpr int kLooks = 2000;
  std::atomic<int32_t>& cpu = cpu_[static_cast<size_t>(thread)];
  if (const int now = sched_getcpu(); cpu.load(std::memory_order_relaxed) != now) {
    cpu.store(now, std::memory_order_relaxed);
  }
  const int32_t generation = generation_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == threads - 1) {
    arrived_.store(0, std::memory_order_relaxed);
    generation_.store(generation + 1, std::memory_order_release);
    generation_.notify_all();
    return;
  }
  // New threads may stay on one CPU for milliseconds before the system moves them apart.
  for (int look = 0; has_cpus_ && look < kLooks; ++look) {
    if (generation_.load(std::memory_order_acquire) != generation) return;
    if (look % 64 == 63 && shares_cpu(thread, threads)) break;
    hwy::Pause();
  }
  while (generation_.load(std::memory_order_acquire) == generation) {
    generation_.wait(generation, std::memory_order_acquire);
  }
}

void Team::barrier() const {
  if (trace == nullptr) {
    meet();
    return;
  }
  const auto begin = TeamTrace::Clock::now();
  meet();
  trace->add(thread, {begin, TeamTrace::Clock::now(), TeamTrace::kWaiting});
}

void Team::meet() const {
  if (meeting != nullptr) {
    meeting->wait(thread, threads);
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

}  // namespace weft

// The threads that run the steps of a plan: how they meet, and how they share a step's work.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

namespace weft {

// Where the threads of a team wait for each other: they look for a few microseconds, then sleep. (OpenMP's own barrier
// looks for so long that a machine with other work to do runs a small model a hundred times slower.)
class TeamBarrier {
 public:
  // For at most `threads` threads. `has_cpus`: there is a CPU for each of them. Where they share CPUs, looking only
  // keeps others from arriving.
  explicit TeamBarrier(int threads, bool has_cpus = true);
  void wait(int thread, int threads);  // a single thread (of `threads` == 1) passes at once
  // How often the team has met so far. For thread 0, which counts, and for all while no thread waits.
  int64_t meetings() const { return meetings_; }
  // Another number after each meeting of more than one thread; the same for all threads of the team until they meet
  // again.
  int32_t generation() const { return generation_.load(std::memory_order_relaxed); }

 private:
  bool shares_cpu(int thread, int threads) const;

  bool has_cpus_;
  std::atomic<int32_t> arrived_{0};
  std::atomic<int32_t> generation_{0};
  int64_t meetings_ = 0;
  std::vector<std::atomic<int32_t>> cpu_;  // by thread: where it was when it last arrived
};

// OpenMP's threads would look for further work for 200 ms after each parallel region, which costs dearly beside other
// programs. After this they sleep at once, in regions that the calling thread begins: their next one costs tens of
// microseconds more. Without effect where the user has set KMP_BLOCKTIME or OMP_WAIT_POLICY.
void sleep_between_regions();

class TeamClaims;  // ops/cpu/claims.h
class TeamTrace;   // ops/cpu/team_trace.h

// The threads that run a plan. Every thread calls run() of every step with the same arguments but its own `thread`.
struct Team {
  int thread = 0;
  int threads = 1;
  TeamBarrier* meeting = nullptr;  // shared by the team; null: OpenMP's barrier, which does not count
  TeamClaims* claims = nullptr;    // the same, beside `meeting`; null: each thread does its own share of a loop alone
  TeamTrace* trace = nullptr;      // is told how long barriers take; null: nobody is
  void barrier() const;            // returns when all threads of the team have called it

 private:
  void meet() const;
};

// [first, last) of `count` items for `thread`: contiguous, sizes differ by at most one `grain`.
struct Range {
  int64_t first, last;
};
Range share(int64_t count, int64_t grain, const Team& team);

}  // namespace weft

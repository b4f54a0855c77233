// What `weft bench` says about the machine: what it is, what it can do at most, and whether other programs disturbed
// it.
#pragma once

#include <string>
#include <vector>

#include "ops/cpu/machine_limits.h"

namespace weft::tools {

struct Machine {
  std::string cpu;       // as the system calls it; may be empty
  std::string features;  // those that kernels use: "AVX3, VNNI, AMX"
  int cpus = 0;          // online
  int usable = 0;        // by this process
  size_t cache = 0;      // bytes of the last-level cache; 0: unknown
  size_t memory = 0;     // bytes that are available
};
Machine this_machine();
// "Intel(R) Xeon(R) Processor, 2 of 2 CPUs, AVX3, VNNI, AMX, 300 MiB of last-level cache"
std::string text_of(const Machine& machine);

// 1 to `most` threads; where these are many: 1, 2, 4, ... and `most`.
std::vector<int> teams_up_to(int most);
// Limits of each team, over one block of uncached_size. Takes some 8 seconds, beside what it takes to touch the block.
std::vector<MachineLimits> measure_teams(const std::vector<int>& teams);

// Short measurements between tests. What they find differs by more than 10 % where other programs use the machine, or
// where it changes its clock.
class Calibration {
 public:
  // `meter`: of the team that tests run on.
  explicit Calibration(LimitMeter meter);

  void measure();
  // The best that was found, which no test can exceed.
  const MachineLimits& best() const { return best_; }
  // By how much the worst measurement was below the best one: 0.1 is 10 %.
  double fma_loss() const { return loss(fma_); }
  double read_loss() const { return loss(reads_); }
  bool is_disturbed() const { return fma_loss() > 0.1 || read_loss() > 0.1; }
  // "undisturbed: FMA within 1.2 %, reads within 3.0 %"
  std::string text() const;

 private:
  static double loss(const std::vector<double>& rates);

  LimitMeter meter_;
  MachineLimits best_;
  std::vector<double> fma_, reads_;
};

}  // namespace weft::tools

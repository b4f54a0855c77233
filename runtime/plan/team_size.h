// How many threads of its team a run uses, where the team is adaptive. Threads of a team meet after every step, so one
// thread that does not run holds up all of them: where other programs use the CPUs, or where waking threads takes longer
// than they save, fewer threads are faster.
#pragma once

#include <algorithm>
#include <cstdint>

namespace weft {

// Decides by two facts: the tasks that other programs have ready to run, each of which is left a CPU; and, for runs too
// short for that reading to be enough, the times that runs have taken with one thread and with more. Use by one thread
// at a time; allocates nothing.
class TeamSize {
 public:
  // `most`: threads of the team; `cpus`: of the machine.
  TeamSize(int most, int cpus) : most_(most), cpus_(cpus), free_(std::min(most, cpus)) {}

  // Tasks of others that were ready to run, at one reading. Two readings in a row that ask for fewer threads are needed
  // (what reads this program's output also runs now and then), unless `certain`.
  void saw_ready(int others, bool certain = false);

  // Threads of the next run. Runs of equal `kind` do the same work, but for the number of cached keys.
  int next(uint64_t kind);
  // How long it took.
  void ran(double seconds);

 private:
  struct Times {
    double sum = 0, least = 0;
    int runs = 0;
    void add(double seconds);
  };
  // In a trial both ways to run are measured; then the faster one is taken for `wait_` runs.
  bool next_is_single() const;
  void choose(bool single);

  int most_, cpus_;
  int free_;                   // CPUs that others leave, at most `most_`
  bool wanted_fewer_ = false;  // the last reading did
  uint64_t kind_ = 0;
  bool chosen_ = false;        // there was a trial for this kind
  bool in_trial_ = true;
  bool prefers_single_ = false;
  bool counts_ = false;        // this run is a choice: there is a CPU for more than one thread
  bool is_single_ = false;     // this run
  int wait_ = 0, patience_ = 0;  // runs until the next trial, and between trials
  Times single_, team_;
};

}  // namespace weft

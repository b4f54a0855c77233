// How many threads of its team a run uses, where the team is adaptive. Threads of a team meet after every step, so
// one thread that is not running holds up all of them: where other programs use the CPUs, or where waking threads
// takes longer than they save, fewer threads are faster.
#pragma once

#include <algorithm>
#include <cstdint>

namespace weft {

// Decides by two facts: the ready tasks of other programs, each of which is left a CPU; and, for runs that are too
// short for that reading to suffice, the times that runs have taken with one thread and with more. For one thread
// at a time; allocates nothing.
class TeamSize {
 public:
  // `most`: threads of the team; `cpus`: CPUs of the machine.
  TeamSize(int most, int cpus) : most_(most), cpus_(cpus), free_(std::min(most, cpus)) {}

  // Ready tasks of other programs, at one reading. It takes two readings in a row to reduce the threads (the
  // reader of this program's output also runs now and then), unless `certain`.
  void saw_ready(int others, bool certain = false);

  // Threads of the next run. Runs of equal `kind` do the same work, but for the number of cached keys.
  int next(uint64_t kind);
  // How long the run took.
  void ran(double seconds);

 private:
  struct Times {
    double sum = 0, least = 0;
    int runs = 0;
    void add(double seconds);
  };
  // A trial measures both ways to run; the faster one is then used for `wait_` runs.
  bool next_is_single() const;
  void choose(bool single);

  int most_, cpus_;
  int free_;                   // CPUs that others leave, at most `most_`
  bool wanted_fewer_ = false;  // whether the last reading did
  uint64_t kind_ = 0;
  bool chosen_ = false;  // whether there was a trial for this kind
  bool in_trial_ = true;
  bool prefers_single_ = false;
  bool counts_ = false;          // whether this run offers a choice: more than one CPU is free
  bool is_single_ = false;       // whether this run uses one thread
  int wait_ = 0, patience_ = 0;  // runs until the next trial, and between trials
  Times single_, team_;
};

}  // namespace weft

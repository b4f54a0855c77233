// Threads that stay on their CPUs while something is measured.
#pragma once

#include <cstddef>
#include <vector>

namespace weft {

// The CPUs that the calling thread may run on, one of each core first: two threads on one core share its units. Empty
// where the system does not tell.
std::vector<int> cpus_to_pin();

// While it lives, the threads of every OpenMP team of at most `threads` that the calling thread leads run on a CPU
// each; then they may run where they could before. Does nothing where there are fewer CPUs than threads. Threads that
// are started meanwhile inherit the place of the one that starts them.
class PinnedTeam {
 public:
  explicit PinnedTeam(int threads);
  ~PinnedTeam();
  PinnedTeam(const PinnedTeam&) = delete;
  PinnedTeam& operator=(const PinnedTeam&) = delete;

  bool is_pinned() const { return is_pinned_; }

 private:
  int threads_;
  bool is_pinned_ = false;
  std::vector<std::vector<std::byte>> before_;  // by thread: its mask of CPUs
};

}  // namespace weft

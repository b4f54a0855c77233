// When the threads of a team worked, on what, and when they waited for each other.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace weft {

// Each thread writes its own part; reading takes that none of them runs.
class TeamTrace {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr int64_t kWaiting = -1;

  struct Span {
    Clock::time_point begin, end;
    int64_t step;  // of the plan, or kWaiting
  };

  explicit TeamTrace(int threads) : parts_(static_cast<size_t>(threads)) {}
  void add(int thread, const Span& span) { parts_[static_cast<size_t>(thread)].spans.push_back(span); }
  int threads() const { return static_cast<int>(parts_.size()); }
  // In the order in which they ended; a wait within a step lies within its time.
  std::span<const Span> of(int thread) const { return parts_[static_cast<size_t>(thread)].spans; }

 private:
  struct alignas(64) Part {  // a cache line of its own
    std::vector<Span> spans;
  };
  std::vector<Part> parts_;
};

}  // namespace weft

// Loops whose items the threads of a team share. Each begins with a part of its own, which is contiguous, and then
// takes items from the parts of others: a thread whose CPU does other work holds nobody up for longer than an item
// takes.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "ops/cpu/team.h"

namespace weft {

// How far the parts of the team's latest loops are claimed. The threads of a team run the same loops in the same order,
// but one may have begun the next loops before another is done with the last.
class TeamClaims {
 public:
  explicit TeamClaims(int threads);
  // Before a team begins; it may have fewer threads than the one before.
  void reset();
  // The next loop of this thread. Waits for the others where one could still be in a loop whose place is taken again.
  int64_t begin(const Team& team);
  // How many items of the part of thread `of` had been claimed in that loop: this claims one more.
  int64_t claim(int64_t loop, int of) { return part(loop, of).value.fetch_add(1, std::memory_order_relaxed); }

 private:
  static constexpr int64_t kLoops = 32;
  struct alignas(64) Claimed {
    std::atomic<int64_t> value{0};
  };
  struct alignas(64) Place {  // of a thread
    int64_t loop = 0;
    int64_t loops_since_meeting = 0;
    int32_t generation = 0;
  };
  Claimed& part(int64_t loop, int thread) {
    return claimed_[static_cast<size_t>(loop % kLoops) * places_.size() + static_cast<size_t>(thread)];
  }

  std::vector<Place> places_;     // by thread
  std::vector<Claimed> claimed_;  // by loop and thread
};

// Calls item(i) once for each i < count, in one of the threads. Every thread of the team calls this.
template <class Item>
void for_claimed(int64_t count, const Team& team, const Item& item) {
  if (team.threads == 1 || team.claims == nullptr) {
    const Range mine = share(count, 1, team);
    for (int64_t i = mine.first; i < mine.last; ++i) item(i);
    return;
  }
  const int64_t loop = team.claims->begin(team);
  for (int turn = 0; turn < team.threads; ++turn) {
    Team owner = team;
    owner.thread = (team.thread + turn) % team.threads;
    const Range part = share(count, 1, owner);
    for (;;) {
      const int64_t i = part.first + team.claims->claim(loop, owner.thread);
      if (i >= part.last) break;
      item(i);
    }
  }
}

}  // namespace weft

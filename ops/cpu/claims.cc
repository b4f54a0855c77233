#include "ops/cpu/claims.h"

namespace weft {

TeamClaims::TeamClaims(int threads)
    : places_(static_cast<size_t>(threads)), claimed_(static_cast<size_t>(kLoops * threads)) {}

void TeamClaims::reset() {
  for (Place& place : places_) place = {};
  for (Claimed& claimed : claimed_) claimed.value.store(0, std::memory_order_relaxed);
}

int64_t TeamClaims::begin(const Team& team) {
  Place& place = places_[static_cast<size_t>(team.thread)];
  // Between two meetings all threads see the same generation, and so count alike.
  if (const int32_t generation = team.meeting->generation(); generation != place.generation) {
    place.generation = generation;
    place.loops_since_meeting = 0;
  }
  if (++place.loops_since_meeting == kLoops / 2) {
    team.barrier();
    place.generation = team.meeting->generation();
    place.loops_since_meeting = 1;
  }
  const int64_t loop = place.loop++;
  // No thread is half the loops ahead or behind.
  part(loop + kLoops / 2, team.thread).value.store(0, std::memory_order_relaxed);
  return loop;
}

}  // namespace weft

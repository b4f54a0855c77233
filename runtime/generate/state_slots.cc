#include "runtime/generate/state_slots.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/error.h"

namespace weft {

StateSlots::StateSlots(int32_t sequences, int32_t snapshots, int32_t interval)
    : most_snapshots_(snapshots),
      interval_(interval),
      sequences_(static_cast<size_t>(sequences)),
      references_(static_cast<size_t>(slots_of(sequences, snapshots))) {
  for (Sequence& sequence : sequences_) sequence.earlier.reserve(static_cast<size_t>(snapshots) + 1);
  for (auto slot = static_cast<int32_t>(references_.size()); slot-- > 0;) free_.push_back(slot);
  in_step_.reserve(static_cast<size_t>(sequences));
}

bool StateSlots::is_worth_keeping(const Sequence& sequence, int32_t count) const {
  if (most_snapshots_ == 0 || sequence.slot < 0) return false;
  const int32_t last = sequence.earlier.empty() ? 0 : sequence.earlier.back().length;
  if (sequence.length == last) return false;  // it is one already
  return count > 1 || sequence.last_count > 1 || sequence.length - last >= interval_;
}

StateSlots::Move StateSlots::advance(int32_t id, int32_t count) {
  Sequence& sequence = of(id);
  const Move move{sequence.slot < 0 ? kZeroState : sequence.slot, sequence.slot};
  if (is_worth_keeping(sequence, count)) {
    sequence.earlier.push_back({sequence.length, sequence.slot});
    hold(sequence.slot);
    if (++snapshots_ > most_snapshots_) release_snapshot();
  }
  sequence.before = {sequence.length, sequence.slot};
  sequence.length += count;
  sequence.last_count = count;
  if (sequence.slot >= 0 && references(sequence.slot) == 1) return move;
  const int32_t old = sequence.slot;
  sequence.slot = take();
  if (old >= 0) in_step_.push_back(old);  // this sequence's reference is now the step's
  return {move.from, sequence.slot};
}

void StateSlots::settle() {
  for (const int32_t slot : in_step_) release(slot);
  in_step_.clear();
}

void StateSlots::take_back(int32_t id) {
  Sequence& sequence = of(id);
  const Snapshot before = std::exchange(sequence.before, {});
  if (before.length < 0) return;
  if (before.slot != sequence.slot) {
    if (before.slot >= 0) hold(before.slot);
    release(std::exchange(sequence.slot, before.slot));
  }
  sequence.length = before.length;
  sequence.last_count = 0;
}

int32_t StateSlots::known(int32_t id, int32_t count) const {
  const Sequence& sequence = of(id);
  if (count >= sequence.length) return sequence.length;
  const auto after = std::upper_bound(sequence.earlier.begin(), sequence.earlier.end(), count,
                                      [](int32_t length, const Snapshot& one) { return length < one.length; });
  return after == sequence.earlier.begin() ? 0 : std::prev(after)->length;
}

void StateSlots::share(int32_t from, int32_t to, int32_t count) {
  const Sequence& source = of(from);
  Sequence& sequence = of(to);
  for (const Snapshot& one : source.earlier) {
    if (one.length > count) break;
    if (snapshots_ == most_snapshots_) break;
    sequence.earlier.push_back(one);
    hold(one.slot);
    ++snapshots_;
  }
  sequence.length = count;
  sequence.slot = count == source.length ? source.slot : -1;
  for (const Snapshot& one : source.earlier) {
    if (one.length == count) sequence.slot = one.slot;
  }
  if (sequence.slot >= 0) hold(sequence.slot);
  sequence.last_count = 0;
}

void StateSlots::trim(int32_t id, int32_t count) {
  Sequence& sequence = of(id);
  sequence.before = {};
  if (count == sequence.length) return;
  int32_t slot = -1;
  for (const Snapshot& one : sequence.earlier) {
    if (one.length == count) slot = one.slot;
  }
  if (slot >= 0) hold(slot);
  if (sequence.slot >= 0) release(sequence.slot);
  sequence.slot = slot;
  sequence.length = count;
  sequence.last_count = 0;
  while (!sequence.earlier.empty() && (sequence.earlier.back().length > count || count == 0)) {
    release(sequence.earlier.back().slot);
    sequence.earlier.pop_back();
    --snapshots_;
  }
}

int32_t StateSlots::take() {
  if (free_.empty()) throw Error("no slot for a state is free");  // slots_of() leaves one for each
  const int32_t slot = free_.back();
  free_.pop_back();
  references(slot) = 1;
  return slot;
}

void StateSlots::hold(int32_t slot) { ++references(slot); }

void StateSlots::release(int32_t slot) {
  if (--references(slot) == 0) free_.push_back(slot);
}

void StateSlots::release_snapshot() {
  Sequence* of_nearest = nullptr;
  size_t nearest = 0;
  int32_t gap = std::numeric_limits<int32_t>::max();
  for (Sequence& sequence : sequences_) {
    for (size_t i = 0; i < sequence.earlier.size(); ++i) {
      const int32_t before = i == 0 ? 0 : sequence.earlier[i - 1].length;
      // The latest one of a sequence goes last: those before it would stay close together for ever.
      const bool is_latest = i + 1 == sequence.earlier.size();
      const int32_t after = is_latest ? std::numeric_limits<int32_t>::max() / 2 : sequence.earlier[i + 1].length;
      if (after - before >= gap) continue;
      gap = after - before;
      nearest = i;
      of_nearest = &sequence;
    }
  }
  release(of_nearest->earlier[nearest].slot);
  of_nearest->earlier.erase(of_nearest->earlier.begin() + static_cast<std::ptrdiff_t>(nearest));
  --snapshots_;
}

}  // namespace weft

// Which slots of a pool hold the states of which sequences (core/expr/state.h), and earlier ones.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/record/graph.h"

namespace weft {

// Slots, shared by reference counting: the state of each sequence, and snapshots of earlier ones, from which a sequence
// can go on after it was cut. Bookkeeping only: it knows slots, not bytes. Allocates nothing after construction. For
// one thread at a time.
//
// Nothing is copied for a snapshot: the next step reads the old slot and writes another one. A snapshot is kept where a
// sequence has been between two pieces of several tokens (a prompt, a reply, a prompt), and every `interval` tokens.
// When slots run out, the snapshot goes whose neighbours in its sequence are nearest to each other.
class StateSlots {
 public:
  // `snapshots`: at most so many at a time, of all sequences together.
  StateSlots(int32_t sequences, int32_t snapshots, int32_t interval);

  // In all: a step may read the state of each sequence in one slot and write it to another.
  static int64_t slots_of(int64_t sequences, int64_t snapshots) { return 2 * sequences + snapshots; }

  // Where a step of `count` tokens finds the state of the sequence (kZeroState: it begins), and where it leaves it.
  struct Move {
    int32_t from = kZeroState, to = -1;
  };
  Move advance(int32_t sequence, int32_t count);
  // The step of these moves has run: what it read may be written to.
  void settle();
  // The sequence's last move was not made: the step did not run. Does nothing where the sequence was cut since.
  void take_back(int32_t sequence);

  int32_t length(int32_t sequence) const { return of(sequence).length; }
  // The longest beginning of at most `count` tokens after which the state is known: 0 is one.
  int32_t known(int32_t sequence, int32_t count) const;
  // Both take a `count` that is known().
  void share(int32_t from, int32_t to, int32_t count);  // `to` has no tokens
  void trim(int32_t sequence, int32_t count);
  int32_t snapshots(int32_t sequence) const { return static_cast<int32_t>(of(sequence).earlier.size()); }

 private:
  struct Snapshot {
    int32_t length = -1, slot = -1;  // length < 0: none
  };
  struct Sequence {
    int32_t length = 0, slot = -1;  // slot < 0: zero
    int32_t last_count = 0;         // tokens of the last step
    Snapshot before;                // the last step, where that may be taken back
    std::vector<Snapshot> earlier;  // by rising length
  };
  const Sequence& of(int32_t sequence) const { return sequences_[static_cast<size_t>(sequence)]; }
  Sequence& of(int32_t sequence) { return sequences_[static_cast<size_t>(sequence)]; }
  int32_t& references(int32_t slot) { return references_[static_cast<size_t>(slot)]; }
  bool is_worth_keeping(const Sequence& sequence, int32_t count) const;
  int32_t take();
  void hold(int32_t slot);
  void release(int32_t slot);
  void release_snapshot();

  int32_t most_snapshots_, interval_, snapshots_ = 0;
  std::vector<Sequence> sequences_;
  std::vector<int32_t> references_;  // by slot
  std::vector<int32_t> free_;        // a stack
  std::vector<int32_t> in_step_;     // slots that the next step reads, each held once for that
};

}  // namespace weft

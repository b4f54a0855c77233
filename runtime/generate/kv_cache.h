// The paged cache of keys and values: which tokens of which sequence are in which slots.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/record/graph.h"
#include "ops/step.h"
#include "runtime/generate/state_slots.h"
#include "runtime/plan/plan.h"

namespace weft {

// Pages of one pool, shared by reference counting, and the block tables (page tables) of the sequences that use
// them. Bookkeeping only: it knows slots, not bytes. Allocates nothing after construction. For one thread at a
// time.
//
// With a window W, a token sees W tokens, including itself. Then `release_passed` gives back the pages that the
// next token and all later ones cannot see: their entries in the table become -1, and first(sequence) is where the
// rest begins.
class BlockTables {
 public:
  // `window` 0: a token sees all tokens before it.
  BlockTables(int32_t pages, int32_t page_size, int32_t sequences, int32_t max_length, int32_t window = 0);

  // The most pages that `sequences` hold at a time if passed pages are released before each append, and a step
  // appends at most `batch` tokens to all of them together.
  static int64_t pages_of_window(int64_t window, int64_t batch, int64_t sequences, int64_t page_size);

  int32_t page_size() const { return page_size_; }
  int32_t free_pages() const { return static_cast<int32_t>(free_.size()); }
  int32_t length(int32_t sequence) const { return length_[static_cast<size_t>(sequence)]; }
  int32_t max_length() const { return max_length_; }
  int32_t references(int32_t page) const { return references_[static_cast<size_t>(page)]; }
  std::span<const int32_t> pages(int32_t sequence) const;
  // Leading tokens whose pages are gone: a multiple of the page size.
  int32_t first(int32_t sequence) const { return first_[static_cast<size_t>(sequence)]; }
  // The smallest length above 0 that the sequence can be cut to: every token that the next one sees must be there.
  int32_t shortest(int32_t sequence) const;

  // Pages that appending `count` tokens would take from the free ones, including a copy of a shared page.
  int32_t pages_needed(int32_t sequence, int32_t count) const;

  // A page that two sequences share is copied before one of them writes to it.
  struct Copy {
    int32_t from_slot = 0, to_slot = 0, count = 0;  // count 0: nothing to copy
  };

  // Throws Error where there is no room for `count` more tokens.
  void check_room(int32_t sequence, int32_t count) const;
  // Makes room for slots.size() more tokens and writes their slots. The caller copies the returned slots before
  // anything is written. Throws Error, changing nothing, where there is no room.
  Copy append(int32_t sequence, std::span<int32_t> slots);

  // `to`, which must be empty, becomes the first `count` tokens of `from`, in the same pages: those that the next
  // token sees. Throws Error where check_cut does.
  void share(int32_t from, int32_t to, int32_t count);

  // Throws Error unless `count` is 0 or from shortest to length, the lengths that `purpose` ("keep") is possible
  // with.
  void check_cut(int32_t sequence, int32_t count, const char* purpose) const;
  // Keeps the first `count` tokens, which check_cut must allow.
  void trim(int32_t sequence, int32_t count);

  // Gives back the pages that no later token sees.
  void release_passed(int32_t sequence);

  PageTable view() const;

 private:
  int32_t& page_at(int32_t sequence, int32_t index);
  void release(int32_t page);
  int32_t pages_passed(int32_t length) const;

  int32_t page_size_, max_pages_, max_length_, window_;
  std::vector<int32_t> table_;       // [sequences][max_pages_]
  std::vector<int32_t> length_;      // [sequences]
  std::vector<int32_t> first_;       // [sequences]
  std::vector<int32_t> references_;  // [pages]
  std::vector<int32_t> free_;        // a stack
};

struct KvCacheOptions {
  int32_t sequences = 1;              // at a time
  int32_t max_length = 0;             // tokens per sequence
  int64_t tokens = 0;                 // of all sequences together; 0: sequences * max_length
  int32_t page_size = 32;             // slots
  int32_t batch = 0;                  // the most tokens that one step appends, to all sequences together; 0: any number
  std::vector<int32_t> windows = {};  // by group: tokens that a query sees, including itself; 0 or absent: all
  size_t state_memory = size_t{256} << 20;  // bytes: of earlier states, from which sequences that were cut go on
};

// The caches and states of a graph: memory on the plan's device, block tables per layer group, and the slots of states.
// A group with a window has no more memory than its windows and one step need. For one thread at a time; caches are
// independent of each other.
class PagedKvCache {
 public:
  // Throws Error where check_memory does.
  PagedKvCache(const Plan& plan, const KvCacheOptions& options);

  // Throws Error where the caches of `graph` take more memory than `device` has left after a plan has taken
  // `taken`. The message says how many tokens fit.
  static void check_memory(const GraphRecord& graph, const Device& device, const PlanMemory& taken,
                           const KvCacheOptions& options);

  int32_t sequences() const { return sequences_; }
  int32_t max_length() const { return max_length_; }
  size_t bytes() const { return pool_ ? pool_->bytes() : 0; }
  const CachePool& pool() const;
  const BlockTables& block_tables(int group = 0) const;  // throws Error if `group` does not exist
  int groups() const { return static_cast<int>(block_tables_.size()); }

  // Opens an empty sequence. Throws Error where all are taken.
  int32_t open();
  // A new sequence that begins with the first known(sequence, count) tokens of `sequence`, in the same pages. `count`
  // as for trim.
  int32_t fork(int32_t sequence, int32_t count);
  void close(int32_t sequence);
  // Keeps the first known(sequence, count) tokens, and returns how many these are: the others are to be evaluated
  // again. `count`: 0, or from shortest to length. Throws Error, changing nothing, for other counts.
  int32_t trim(int32_t sequence, int32_t count);
  // `count`, or, where the graph has states, the tokens until the last one at or before it after which they are kept.
  int32_t known(int32_t sequence, int32_t count) const;
  int32_t length(int32_t sequence) const;
  // Tells a sequence from an earlier one of the same number: no two that are opened have the same. 0 where none is
  // open.
  uint64_t opening(int32_t sequence) const;
  // The smallest length above 0 that the sequence can be cut to; above 1 only where windows have passed pages.
  int32_t shortest(int32_t sequence) const;

  // Makes room for `count` more tokens of the sequence: writes their slots to slots_of_group[group][0 ... count).
  // Throws Error where they do not fit; the sequence is then unchanged.
  void append(int32_t sequence, int32_t count, std::span<int32_t* const> slots_of_group);
  // Where the step of the last append finds the state of the sequence, and where it leaves it.
  StateSlots::Move state_move(int32_t sequence) const;
  // Forgets the last append, of `count` tokens: its step did not run.
  void take_back(int32_t sequence, int32_t count);
  // After a step, whether it ran or not: what it read may be written to.
  void settle();

  // Gives back the pages that windows have passed; `append` does so too.
  void release_passed(int32_t sequence);

  // Writes to all of the memory, which the system may give when it is first used alone: afterwards no run has to wait
  // for that. Throws Error while a sequence is open.
  void touch();

  // Binds the pool and the block tables to a run.
  void bind(Bindings& bindings) const;

 private:
  // By group: slots, a whole number of pages.
  static std::vector<int64_t> slots_of_groups(const GraphRecord& graph, const KvCacheOptions& options);
  void check() const;  // throws Error after a move
  void check(int32_t sequence) const;
  // Of states, in the memory that is allowed for them, but no more than one for each token.
  static int64_t snapshots_of(const GraphRecord& graph, const KvCacheOptions& options);

  std::shared_ptr<CachePool> pool_;
  std::vector<int> group_of_cache_;
  std::vector<BlockTables> block_tables_;  // by group
  std::optional<StateSlots> states_;       // where the graph has some
  std::vector<StateSlots::Move> moves_;    // by sequence: of the last append
  std::vector<uint64_t> openings_;         // by sequence; 0: not open
  uint64_t opened_ = 0;                    // how often sequences were
  int32_t sequences_ = 0, max_length_ = 0;
};

}  // namespace weft

// The paged cache of keys and values: which tokens of which sequence lie in which slots.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/graph.h"
#include "ops/step.h"
#include "runtime/plan.h"

namespace weft {

// Pages of one pool, shared by reference counting, and the page tables of the sequences that use them. Bookkeeping
// only: it knows slots, not bytes. Allocates nothing after construction.
class PageBook {
 public:
  PageBook(int32_t pages, int32_t page_size, int32_t sequences, int32_t max_length);

  int32_t page_size() const { return page_size_; }
  int32_t free_pages() const { return static_cast<int32_t>(free_.size()); }
  int32_t length(int32_t sequence) const { return length_[static_cast<size_t>(sequence)]; }
  int32_t max_length() const { return max_length_; }
  int32_t references(int32_t page) const { return references_[static_cast<size_t>(page)]; }
  std::span<const int32_t> pages(int32_t sequence) const;

  // Pages that appending `count` tokens would take from the free ones (a copy of a shared page included).
  int32_t pages_needed(int32_t sequence, int32_t count) const;

  // A page that two sequences share is copied before one writes to it.
  struct Copy {
    int32_t from_slot = 0, to_slot = 0, count = 0;  // count 0: nothing to copy
  };

  // Makes room for slots.size() more tokens and writes their slots. The caller copies the slots returned before
  // anything is written. Throws Error, changing nothing, where there is no room.
  Copy append(int32_t sequence, std::span<int32_t> slots);

  // `to`, which must be empty, becomes the first `count` tokens of `from`, in the same pages.
  void share(int32_t from, int32_t to, int32_t count);

  // Keeps the first `count` tokens.
  void trim(int32_t sequence, int32_t count);

  PageTable table() const;

 private:
  int32_t& page_at(int32_t sequence, int32_t index);
  void release(int32_t page);

  int32_t page_size_, max_pages_, max_length_;
  std::vector<int32_t> table_;       // [sequences][max_pages_]
  std::vector<int32_t> length_;      // [sequences]
  std::vector<int32_t> references_;  // [pages]
  std::vector<int32_t> free_;        // a stack
};

struct KvCacheOptions {
  int32_t sequences = 1;   // at a time
  int32_t max_length = 0;  // tokens per sequence
  int64_t tokens = 0;      // of all sequences together; 0: sequences * max_length
  int32_t page_size = 32;  // slots
};

// The caches of a graph: memory on the plan's device, and page tables per layer group.
class KvCache {
 public:
  KvCache(const Plan& plan, const KvCacheOptions& options);

  int32_t sequences() const { return sequences_; }
  int32_t max_length() const { return max_length_; }
  size_t bytes() const { return pool_ ? pool_->bytes() : 0; }
  const CachePool& pool() const { return *pool_; }
  const PageBook& book(int group = 0) const { return books_[static_cast<size_t>(group)]; }
  int groups() const { return static_cast<int>(books_.size()); }

  // A sequence without tokens. Throws Error where all are taken.
  int32_t open();
  // A new sequence that begins with the first `count` tokens of `sequence`, in the same pages.
  int32_t fork(int32_t sequence, int32_t count);
  void close(int32_t sequence);
  void trim(int32_t sequence, int32_t count);
  int32_t length(int32_t sequence) const;

  // Room for `count` more tokens of the sequence: writes their slots to slots_of_group[group][0 ... count). Throws
  // Error where they do not fit, and changes nothing then.
  void append(int32_t sequence, int32_t count, std::span<int32_t* const> slots_of_group);

  // Pool and page tables, for a run.
  void bind(Bindings& bindings) const;

 private:
  void check(int32_t sequence) const;

  std::shared_ptr<CachePool> pool_;
  std::vector<int> group_of_cache_;
  std::vector<PageBook> books_;  // by group
  std::vector<bool> taken_;
  int32_t sequences_ = 0, max_length_ = 0;
};

}  // namespace weft

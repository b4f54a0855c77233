#include "runtime/generate/kv_cache.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/error.h"
#include "runtime/plan/available_memory.h"
#include "runtime/plan/executor.h"
#include "runtime/plan/extents.h"

namespace weft {

namespace {

int32_t pages_of(int64_t tokens, int32_t page_size) {
  return static_cast<int32_t>((tokens + page_size - 1) / page_size);
}

// Of a group; 0: none, or one that no sequence exceeds.
int32_t window_of(const KvCacheOptions& options, size_t group) {
  const int32_t window = group < options.windows.size() ? options.windows[group] : 0;
  if (window < 0) throw Error("a window cannot be " + std::to_string(window) + " tokens");
  return window < options.max_length ? window : 0;
}

}  // namespace

BlockTables::BlockTables(int32_t pages, int32_t page_size, int32_t sequences, int32_t max_length, int32_t window)
    : page_size_(page_size),
      max_pages_(pages_of(max_length, page_size)),
      max_length_(max_length),
      window_(window),
      table_(static_cast<size_t>(sequences) * static_cast<size_t>(max_pages_)),
      length_(static_cast<size_t>(sequences)),
      first_(static_cast<size_t>(sequences)),
      references_(static_cast<size_t>(pages)),
      free_(static_cast<size_t>(pages)) {
  // Taken from the back: low pages first.
  for (int32_t page = 0; page < pages; ++page) free_[static_cast<size_t>(pages - 1 - page)] = page;
}

int64_t BlockTables::pages_of_window(int64_t window, int64_t batch, int64_t sequences, int64_t page_size) {
  // A sequence that appends n tokens holds those, window - 1 before them and up to page_size - 1 in front of these,
  // from the beginning of a page on: at most ceil((n + window - 2) / page_size) + 1 pages. Summed over all n:
  return sequences + (batch + sequences * (window - 2 + page_size - 1)) / page_size;
}

int32_t& BlockTables::page_at(int32_t sequence, int32_t index) {
  return table_[static_cast<size_t>(sequence) * static_cast<size_t>(max_pages_) + static_cast<size_t>(index)];
}

std::span<const int32_t> BlockTables::pages(int32_t sequence) const {
  return {table_.data() + static_cast<size_t>(sequence) * static_cast<size_t>(max_pages_),
          static_cast<size_t>(pages_of(length(sequence), page_size_))};
}

int32_t BlockTables::pages_needed(int32_t sequence, int32_t count) const {
  if (count == 0) return 0;
  const int32_t before = length(sequence);
  const int32_t used = pages_of(before, page_size_);
  int32_t needed = pages_of(int64_t{before} + count, page_size_) - used;
  if (before % page_size_ != 0 && references(pages(sequence).back()) > 1) ++needed;
  return needed;
}

void BlockTables::check_room(int32_t sequence, int32_t count) const {
  const int32_t before = length(sequence);
  if (int64_t{before} + count > max_length_) {
    throw Error("the context is full: " + std::to_string(before) + " + " + std::to_string(count) +
                " tokens, and a sequence has room for " + std::to_string(max_length_));
  }
  const int32_t needed = pages_needed(sequence, count);
  if (needed > free_pages()) {
    throw Error("the KV cache is full: sequence " + std::to_string(sequence) + " needs " + std::to_string(needed) +
                " more pages of " + std::to_string(page_size_) + " tokens, " + std::to_string(free_pages()) +
                " are free");
  }
}

BlockTables::Copy BlockTables::append(int32_t sequence, std::span<int32_t> slots) {
  const auto count = static_cast<int32_t>(slots.size());
  const int32_t before = length(sequence);
  check_room(sequence, count);
  const auto take = [this] {
    const int32_t page = free_.back();
    free_.pop_back();
    references_[static_cast<size_t>(page)] = 1;
    return page;
  };
  Copy copy;
  const int32_t partial = before % page_size_;
  if (count != 0 && partial != 0) {
    int32_t& last = page_at(sequence, before / page_size_);
    if (references(last) > 1) {
      const int32_t fresh = take();
      copy = {last * page_size_, fresh * page_size_, partial};
      release(last);
      last = fresh;
    }
  }
  for (int32_t i = 0; i < count; ++i) {
    const int32_t token = before + i;
    int32_t& page = page_at(sequence, token / page_size_);
    if (token % page_size_ == 0) page = take();
    slots[static_cast<size_t>(i)] = page * page_size_ + token % page_size_;
  }
  length_[static_cast<size_t>(sequence)] = before + count;
  return copy;
}

void BlockTables::share(int32_t from, int32_t to, int32_t count) {
  if (length(to) != 0) throw Error("sequence " + std::to_string(to) + " is not empty");
  check_cut(from, count, "share");
  const int32_t passed = pages_passed(count);
  for (int32_t i = 0; i < passed; ++i) page_at(to, i) = -1;
  for (int32_t i = passed; i < pages_of(count, page_size_); ++i) {
    const int32_t page = page_at(from, i);
    ++references_[static_cast<size_t>(page)];
    page_at(to, i) = page;
  }
  length_[static_cast<size_t>(to)] = count;
  first_[static_cast<size_t>(to)] = passed * page_size_;
}

void BlockTables::trim(int32_t sequence, int32_t count) {
  const int32_t before = length(sequence);
  check_cut(sequence, count, "keep");
  int32_t& first = first_[static_cast<size_t>(sequence)];
  for (int32_t i = std::max(pages_of(count, page_size_), first / page_size_); i < pages_of(before, page_size_); ++i)
    release(page_at(sequence, i));
  length_[static_cast<size_t>(sequence)] = count;
  if (count == 0) first = 0;
}

// Whole pages that no token from position `length` on sees: that token sees window tokens, including itself.
int32_t BlockTables::pages_passed(int32_t length) const {
  return window_ == 0 ? 0 : std::max(length + 1 - window_, 0) / page_size_;
}

int32_t BlockTables::shortest(int32_t sequence) const {
  return first(sequence) == 0 ? std::min(1, length(sequence)) : first(sequence) + window_ - 1;
}

void BlockTables::check_cut(int32_t sequence, int32_t count, const char* purpose) const {
  const std::string name = "sequence " + std::to_string(sequence);
  if (count < 0 || count > length(sequence)) {
    throw Error(name + " has " + std::to_string(length(sequence)) + " tokens, not " + std::to_string(count) + " to " +
                purpose);
  }
  if (count != 0 && count < shortest(sequence)) {
    throw Error(name + " cannot " + purpose + " " + std::to_string(count) + " tokens: its window of " +
                std::to_string(window_) + " has passed the first " + std::to_string(first(sequence)) +
                ", so at least " + std::to_string(shortest(sequence)) + " must stay");
  }
}

void BlockTables::release_passed(int32_t sequence) {
  int32_t& first = first_[static_cast<size_t>(sequence)];
  const int32_t passed = pages_passed(length(sequence));
  for (int32_t i = first / page_size_; i < passed; ++i) release(std::exchange(page_at(sequence, i), -1));
  first = std::max(first, passed * page_size_);
}

void BlockTables::release(int32_t page) {
  if (--references_[static_cast<size_t>(page)] == 0) free_.push_back(page);
}

PageTable BlockTables::view() const {
  return {table_.data(), length_.data(), static_cast<int32_t>(length_.size()), max_pages_, page_size_, first_.data()};
}

std::vector<int64_t> PagedKvCache::slots_of_groups(const GraphRecord& graph, const KvCacheOptions& options) {
  if (options.sequences < 1 || options.max_length < 1 || options.page_size < 1 || options.tokens < 0 ||
      options.batch < 0) {
    throw Error("a KV cache needs sequences, tokens and a page size above 0");
  }
  // Room for `tokens` in whole pages; every sequence may leave its last page partly empty.
  const int64_t per_sequence = pages_of(options.max_length, options.page_size);
  const int64_t pages = options.tokens == 0
                            ? per_sequence * options.sequences
                            : (options.tokens + options.page_size - 1) / options.page_size + options.sequences - 1;
  int groups = 1;
  for (const CacheRecord& cache : graph.caches) groups = std::max(groups, cache.group + 1);
  std::vector<int64_t> slots;
  for (size_t group = 0; group < static_cast<size_t>(groups); ++group) {
    const int32_t window = window_of(options, group);
    int64_t of_group = pages;
    if (window != 0) {
      const int64_t batch = options.batch == 0 ? options.max_length : options.batch;
      of_group = std::min(of_group, BlockTables::pages_of_window(window, batch, options.sequences, options.page_size));
    }
    slots.push_back(of_group * options.page_size);
  }
  return slots;
}

int64_t PagedKvCache::snapshots_of(const GraphRecord& graph, const KvCacheOptions& options) {
  if (graph.states.empty()) return 0;
  const ExtentTable extents = ExtentTable::of_graph(graph);
  size_t bytes = 0;
  for (const StateRecord& state : graph.states) bytes += slot_bytes(graph, state.value, extents.data());
  const int64_t tokens = options.tokens == 0 ? int64_t{options.sequences} * options.max_length : options.tokens;
  return std::min(tokens, static_cast<int64_t>(options.state_memory / std::max<size_t>(bytes, 1)));
}

void PagedKvCache::check_memory(const GraphRecord& graph, const Device& device, const PlanMemory& taken,
                                const KvCacheOptions& options) {
  const ExtentTable extents = ExtentTable::of_graph(graph);
  const size_t available = available_memory(device, taken), largest = largest_block(device);
  size_t bytes = 0, block = 0;  // for what `measure` was called with
  const auto measure = [&](const KvCacheOptions& measured) {
    const std::vector<int64_t> slots = slots_of_groups(graph, measured);
    bytes = block = 0;
    for (const CacheRecord& cache : graph.caches) {
      const auto rows = static_cast<size_t>(slots[static_cast<size_t>(cache.group)]);
      for (const ValueId value : cache_values(cache)) {
        const size_t of_value = rows * slot_bytes(graph, value, extents.data());
        bytes += of_value;
        block = std::max(block, of_value);
      }
    }
    const auto state_slots =
        static_cast<size_t>(StateSlots::slots_of(measured.sequences, snapshots_of(graph, measured)));
    for (const StateRecord& state : graph.states) {
      const size_t of_value = state_slots * slot_bytes(graph, state.value, extents.data());
      bytes += of_value;
      block = std::max(block, of_value);
    }
  };
  measure(options);
  if (bytes <= available && block <= largest) return;

  const bool shared = options.tokens != 0;  // by all sequences
  std::string text = "the KV cache of ";
  if (shared) {
    text += std::to_string(options.tokens) + " tokens in all sequences";
  } else {
    if (options.sequences > 1) text += std::to_string(options.sequences) + " sequences with ";
    text += "a context of " + std::to_string(options.max_length) + " tokens";
  }
  text += " takes " + bytes_text(bytes);
  text += bytes > available ? ", and " + bytes_text(available) + " are available"
                            : ", in blocks of which the device takes at most " + bytes_text(largest);
  if (!device.is_cpu()) text += " on " + device.name();
  // Some memory is reserved for what comes after the cache.
  const size_t usable = available - available / 8;
  int64_t fits = 0;
  for (int64_t low = 1, high = shared ? options.tokens : options.max_length; low < high;) {
    const int64_t middle = low + (high - low) / 2;
    KvCacheOptions tried = options;
    if (shared) {
      tried.tokens = middle;
    } else {
      tried.max_length = static_cast<int32_t>(middle);
    }
    measure(tried);
    if (bytes <= usable && block <= largest) {
      fits = middle;
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  throw Error(text + (fits > 0 ? ": " + std::to_string(fits) + " tokens fit" + (shared ? "" : " (-c)")
                               : ": not even one token fits"));
}

PagedKvCache::PagedKvCache(const Plan& plan, const KvCacheOptions& options)
    : sequences_(options.sequences), max_length_(options.max_length) {
  for (const CacheRecord& cache : plan.graph().caches) group_of_cache_.push_back(cache.group);
  const std::vector<int64_t> slots = slots_of_groups(plan.graph(), options);
  for (const int64_t of_group : slots) {
    if (of_group > std::numeric_limits<int32_t>::max()) {
      throw Error("a KV cache of " + std::to_string(of_group) + " tokens is too large");
    }
  }
  check_memory(plan.graph(), plan.device(), plan.memory(), options);
  for (size_t group = 0; group < slots.size(); ++group) {
    block_tables_.emplace_back(static_cast<int32_t>(slots[group] / options.page_size), options.page_size,
                               options.sequences, options.max_length, window_of(options, group));
  }
  openings_.resize(static_cast<size_t>(options.sequences));
  moves_.resize(static_cast<size_t>(options.sequences));
  const int64_t snapshots = snapshots_of(plan.graph(), options);
  if (!plan.graph().states.empty()) {
    const int64_t tokens = int64_t{options.sequences} * options.max_length;
    states_.emplace(options.sequences, static_cast<int32_t>(snapshots),
                    static_cast<int32_t>(std::max<int64_t>(32, tokens / std::max<int64_t>(snapshots, 1))));
  }
  pool_ = plan.make_cache_pool(slots, states_ ? StateSlots::slots_of(options.sequences, snapshots) : 0);
}

void PagedKvCache::check() const {
  if (pool_ == nullptr) throw Error("a KV cache is used after it was moved from");
}

const CachePool& PagedKvCache::pool() const {
  check();
  return *pool_;
}

const BlockTables& PagedKvCache::block_tables(int group) const {
  check();
  if (group < 0 || group >= groups()) {
    throw Error("there is no group " + std::to_string(group) + " of caches: there are " + std::to_string(groups()));
  }
  return block_tables_[static_cast<size_t>(group)];
}

void PagedKvCache::check(int32_t sequence) const {
  check();
  if (sequence < 0 || sequence >= sequences_ || openings_[static_cast<size_t>(sequence)] == 0) {
    throw Error("there is no sequence " + std::to_string(sequence));
  }
}

int32_t PagedKvCache::open() {
  check();
  const auto free = std::find(openings_.begin(), openings_.end(), 0);
  if (free == openings_.end())
    throw Error("all " + std::to_string(sequences_) + " sequences of the KV cache are taken");
  *free = ++opened_;
  return static_cast<int32_t>(free - openings_.begin());
}

int32_t PagedKvCache::fork(int32_t sequence, int32_t count) {
  check(sequence);
  const int32_t fresh = open();
  try {
    for (const BlockTables& tables : block_tables_) tables.check_cut(sequence, count, "share");
    const int32_t shared = known(sequence, count);
    for (BlockTables& tables : block_tables_) tables.share(sequence, fresh, shared);
    if (states_) states_->share(sequence, fresh, shared);
  } catch (...) {
    close(fresh);
    throw;
  }
  return fresh;
}

void PagedKvCache::close(int32_t sequence) {
  trim(sequence, 0);
  openings_[static_cast<size_t>(sequence)] = 0;
}

uint64_t PagedKvCache::opening(int32_t sequence) const {
  check();
  return sequence < 0 || sequence >= sequences_ ? 0 : openings_[static_cast<size_t>(sequence)];
}

int32_t PagedKvCache::trim(int32_t sequence, int32_t count) {
  check(sequence);
  for (const BlockTables& tables : block_tables_) tables.check_cut(sequence, count, "keep");
  const int32_t kept = known(sequence, count);
  for (BlockTables& tables : block_tables_) tables.trim(sequence, kept);
  if (states_) states_->trim(sequence, kept);
  return kept;
}

int32_t PagedKvCache::known(int32_t sequence, int32_t count) const {
  check(sequence);
  if (!states_) return count;
  const int32_t known = states_->known(sequence, count);
  return known < shortest(sequence) ? 0 : known;  // a window has passed the pages before
}

StateSlots::Move PagedKvCache::state_move(int32_t sequence) const {
  check(sequence);
  return moves_[static_cast<size_t>(sequence)];
}

void PagedKvCache::take_back(int32_t sequence, int32_t count) {
  check(sequence);
  const int32_t before = std::max(0, length(sequence) - count);
  for (BlockTables& tables : block_tables_) tables.trim(sequence, before);
  if (states_) states_->take_back(sequence);
}

void PagedKvCache::settle() {
  if (states_) states_->settle();
}

int32_t PagedKvCache::shortest(int32_t sequence) const {
  check(sequence);
  int32_t longest = 0;
  for (const BlockTables& tables : block_tables_) longest = std::max(longest, tables.shortest(sequence));
  return longest;
}

void PagedKvCache::touch() {
  check();
  if (std::any_of(openings_.begin(), openings_.end(), [](uint64_t opening) { return opening != 0; })) {
    throw Error("the memory of a cache is touched before its sequences are opened");
  }
  for (int group = 0; group < groups(); ++group) {
    const int64_t slots = pool_->slots(group);
    for (int64_t done = 1; done < slots; done *= 2) pool_->copy_slots(group, 0, done, std::min(done, slots - done));
  }
}

void PagedKvCache::release_passed(int32_t sequence) {
  check(sequence);
  for (BlockTables& tables : block_tables_) tables.release_passed(sequence);
}

int32_t PagedKvCache::length(int32_t sequence) const {
  check(sequence);
  return block_tables_.front().length(sequence);
}

void PagedKvCache::append(int32_t sequence, int32_t count, std::span<int32_t* const> slots_of_group) {
  check(sequence);
  release_passed(sequence);
  for (const BlockTables& tables : block_tables_) tables.check_room(sequence, count);
  for (size_t group = 0; group < block_tables_.size(); ++group) {
    const BlockTables::Copy copy =
        block_tables_[group].append(sequence, {slots_of_group[group], static_cast<size_t>(count)});
    if (copy.count != 0) pool_->copy_slots(static_cast<int>(group), copy.from_slot, copy.to_slot, copy.count);
  }
  if (states_) moves_[static_cast<size_t>(sequence)] = states_->advance(sequence, count);
}

void PagedKvCache::bind(Bindings& bindings) const {
  check();
  bindings.caches(pool_.get());
  for (size_t cache = 0; cache < group_of_cache_.size(); ++cache) {
    bindings.pages(static_cast<int>(cache), block_tables_[static_cast<size_t>(group_of_cache_[cache])].view());
  }
}

}  // namespace weft

// Places the intermediate values of a plan in one block of memory.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace weft {

// A value from the group of steps that writes it to the last group that reads it, both included; or the scratch of one
// group.
struct LiveValue {
  size_t bytes = 0;
  int first = 0;
  int last = 0;
};

struct MemoryPlan {
  std::vector<size_t> offsets;  // per value
  size_t bytes = 0;             // of the block
};

inline constexpr size_t kArenaAlignment = 64;  // a cache line, and the widest vector

// Values that are live in the same group get disjoint bytes; others may share. Largest first, each at the lowest
// offset that is free for its whole life.
MemoryPlan plan_memory(std::span<const LiveValue> values, size_t alignment = kArenaAlignment);

// Throws Error where two values that are live at the same time overlap, lie outside the block, or are not aligned.
void check_memory_plan(std::span<const LiveValue> values, const MemoryPlan& plan, size_t alignment = kArenaAlignment);

}  // namespace weft

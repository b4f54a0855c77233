#include "runtime/plan/memory_planner.h"

#include <algorithm>
#include <numeric>

#include "core/align.h"
#include "core/error.h"

namespace weft {

namespace {

bool live_together(const LiveValue& a, const LiveValue& b) { return a.first <= b.last && b.first <= a.last; }

}  // namespace

MemoryPlan plan_memory(std::span<const LiveValue> values, size_t alignment) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return values[a].bytes != values[b].bytes ? values[a].bytes > values[b].bytes : a < b;
  });

  MemoryPlan plan;
  plan.offsets.resize(values.size());
  std::vector<size_t> placed;  // by offset
  for (const size_t value : order) {
    const size_t bytes = align_up(std::max<size_t>(values[value].bytes, 1), alignment);
    size_t offset = 0;
    for (const size_t other : placed) {
      if (!live_together(values[value], values[other])) continue;
      if (offset + bytes <= plan.offsets[other]) break;
      offset = std::max(offset, plan.offsets[other] + align_up(std::max<size_t>(values[other].bytes, 1), alignment));
    }
    plan.offsets[value] = offset;
    plan.bytes = std::max(plan.bytes, offset + bytes);
    const auto after = std::upper_bound(placed.begin(), placed.end(), offset,
                                        [&](size_t at, size_t other) { return at < plan.offsets[other]; });
    placed.insert(after, value);
  }
  return plan;
}

void check_memory_plan(std::span<const LiveValue> values, const MemoryPlan& plan, size_t alignment) {
  const auto fail = [](size_t a, const std::string& what) {
    throw Error("memory plan: value " + std::to_string(a) + " " + what);
  };
  for (size_t a = 0; a < values.size(); ++a) {
    if (plan.offsets[a] % alignment != 0) fail(a, "is not aligned");
    if (plan.offsets[a] + values[a].bytes > plan.bytes) fail(a, "lies outside the block");
    for (size_t b = 0; b < a; ++b) {
      const bool apart =
          plan.offsets[a] + values[a].bytes <= plan.offsets[b] || plan.offsets[b] + values[b].bytes <= plan.offsets[a];
      if (!apart && live_together(values[a], values[b])) fail(a, "overlaps value " + std::to_string(b));
    }
  }
}

}  // namespace weft

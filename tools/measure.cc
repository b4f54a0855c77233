#include "tools/measure.h"

#include <algorithm>

#include "runtime/plan/available_memory.h"

namespace weft::tools {

namespace {

// `length_of`: of the cache's sequences.
template <class LengthOf>
Limits extents(const LanguageModel& model, int64_t tokens, int64_t rows, const LengthOf& length_of) {
  Limits at;
  at.set(model.pos_axis, tokens).set(model.rows_axis, rows);
  std::vector<AxisId> keys;
  for (const CacheRecord& cache : model.graph->caches) {
    if (std::find(keys.begin(), keys.end(), cache.key) == keys.end()) at.set(cache.key, length_of(cache));
    keys.push_back(cache.key);
  }
  return at;
}

}  // namespace

Limits extents_of(const LanguageModel& model, int64_t tokens, int64_t rows, int64_t length) {
  return extents(model, tokens, rows, [&](const CacheRecord&) { return length; });
}

Limits seen_extents(const LanguageModel& model, int64_t tokens, int64_t rows, int64_t length, int64_t sequences) {
  return extents(model, tokens * sequences, rows, [&](const CacheRecord& cache) {
    const auto group = static_cast<size_t>(cache.group);
    const int64_t window = group < model.windows.size() ? model.windows[group] : 0;
    int64_t sum = 0;
    for (int64_t token = 0; token < tokens; ++token) {
      const int64_t before = length - token;
      sum += window > 0 ? std::min(before, window) : before;
    }
    return std::max<int64_t>(tokens > 0 ? sum / tokens : 0, 1);
  });
}

void lengthen(Engine& engine, int32_t sequence, int32_t count) {
  std::vector<std::vector<int32_t>> slots(static_cast<size_t>(engine.cache().groups()));
  // A step's worth at a time: where windows pass pages, the cache has room for no more.
  for (int32_t done = 0; done < count;) {
    const int32_t part = std::min(count - done, engine.batch());
    std::vector<int32_t*> slots_of_group;
    for (std::vector<int32_t>& group : slots) {
      group.resize(static_cast<size_t>(part));
      slots_of_group.push_back(group.data());
    }
    engine.cache().append(sequence, part, slots_of_group);
    engine.cache().release_passed(sequence);  // other sequences may need the pages
    done += part;
  }
}

MachineLimits measure_limits(int threads, size_t bytes) {
  constexpr double kSeconds = 1;
  return LimitMeter(threads, std::min(bytes, uncached_size(available_memory()))).measure(kSeconds);
}

nlohmann::ordered_json limits_json(const MachineLimits& limits) {
  return {{"threads", limits.threads},     {"read_size", limits.read_size}, {"reads", limits.read_bytes},
          {"fma_flops", limits.fma_flops}, {"int8_ops", limits.int8_ops},   {"amx_flops", limits.amx_flops}};
}

}  // namespace weft::tools

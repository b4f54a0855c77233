#include "bench/limits.h"

#include <algorithm>
#include <map>
#include <utility>

#include "runtime/plan/available_memory.h"

namespace weft::bench {

size_t uncached_bytes() {
  static const size_t bytes = uncached_size(available_memory());
  return bytes;
}

const MachineLimits& machine_limits(int threads, size_t bytes) {
  static std::map<std::pair<int, size_t>, MachineLimits> known;
  const size_t size = bytes == 0 ? uncached_bytes() : std::min(bytes, uncached_bytes());
  const auto found = known.find({threads, size});
  if (found != known.end()) return found->second;
  return known.emplace(std::pair(threads, size), LimitMeter(threads, size).measure(1.0)).first->second;
}

}  // namespace weft::bench

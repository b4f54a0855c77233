// Kernels that are timed in turns on the same work.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "ops/cpu/machine_limits.h"
#include "ops/harness/run_cpu.h"
#include "tools/op_work.h"

namespace weft::tools {

// Where weights, keys and rows are before each run: in the caches, as far as these hold them, or not, because several
// copies of all of it take turns.
enum class CacheState : unsigned char { warm, cold };

// Seconds of one run, of each side in each round; in a round, sides take turns, every other time from the last one on.
// Threads are pinned, and each sample is the mean of so many runs as take a few milliseconds. Of what takes long, there
// are fewer rounds, at least 5. `ran`: gets the names of the kernels that did the work, of each side.
// `others` take their turns behind them.
using TimedRuns = std::function<void(int64_t times)>;
std::vector<std::vector<double>> time_in_turns(const OpWork& work, const std::vector<CpuRunOptions>& sides, int rounds,
                                               CacheState cache, std::vector<std::string>& ran,
                                               std::span<const TimedRuns> others = {});

// The same of whatever runs so many times when it is called, and returns when that is done.
std::vector<std::vector<double>> time_in_turns(std::span<const TimedRuns> sides, int rounds);

// The least that the machine takes: for the products at the peak of the unit that these kernels use, or for the bytes.
double least_seconds(const OpWork& work, const MachineLimits& limits, const std::string& kernels);

}  // namespace weft::tools

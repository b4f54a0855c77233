// The limits of this machine, each measured once: the denominators of every share that the benchmark prints.
#pragma once

#include <cstddef>

#include "ops/cpu/machine_limits.h"

namespace weft::bench {

// Bytes of the block that reads are measured over where a benchmark has as many to read: 4 times the last-level cache
// and at least 512 MiB, but at most half of the memory that was available at the first call.
size_t uncached_bytes();

// Of a team whose reads go over `bytes`, or over uncached_bytes() if that is less (0: over that). What has fewer bytes
// to read finds them in a cache again, and is compared with reads of a block of its own size. Takes about a second.
const MachineLimits& machine_limits(int threads, size_t bytes = 0);

}  // namespace weft::bench

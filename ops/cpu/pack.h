// Packing weights: by all threads, while what is needed next is read from the disk.
#pragma once

#include <cstddef>
#include <vector>

#include "core/record/graph.h"
#include "core/record/layout.h"

namespace weft {

// A weight, and the to.bytes() bytes that it is packed into.
struct PackJob {
  const Storage* storage;
  Interleaved to;
  std::byte* out;
};

// Reads each file from front to back. Pages of mapped files that have been packed leave the process, so that no weight
// is in it twice; what is read ahead of them is not in it yet.
void pack(std::vector<PackJob> jobs, int threads);

}  // namespace weft

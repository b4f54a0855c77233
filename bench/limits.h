// The measured limits of this machine: the denominators of every share that the benchmark prints.
#pragma once

namespace weft::bench {

struct MachineLimits {
  double read_bytes = 0;  // per second, streaming reads of memory far larger than the caches, all threads
  double fma_flops = 0;   // per second, f32 fused multiply-adds (2 FLOPs each) in the widest vectors, all threads
};

// Takes about half a second per number; measured once per number of threads.
const MachineLimits& machine_limits(int threads);

}  // namespace weft::bench

// Which of the instruction sets that kernels are compiled for is the one that they run with.
#pragma once

namespace weft {

// Name of the Highway target that every dispatch to a kernel takes now: "AVX3". It is the best one that kernels
// are compiled for and the machine supports, which need not be the best that the machine supports.
const char* cpu_target();

// Whether kernels that add instructions to Highway's AVX-512 can run: processor and operating system have them, and
// that target is the one that dispatches take.
bool has_avx512_vnni();
// Whether memory is read faster where what comes later is asked for in the second cache. Intel's cores gain by it,
// whose own prefetching ends with each page. On AMD's (Zen 5) lines are asked for in the first cache alone.
bool wants_far_lines();
// Asks for a line of memory in the second cache. What is to come later would else take the few buffers of misses of the
// first cache from what is read now.
inline void fetch_line(const void* line) { __builtin_prefetch(line, 0, 2); }
// Asks the operating system for the tile registers, which it gives to programs that do.
bool has_amx_bf16();

}  // namespace weft

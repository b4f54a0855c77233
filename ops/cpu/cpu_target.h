// Which of the instruction sets that kernels are compiled for is the one that they run with.
#pragma once

namespace weft {

// Name of the Highway target that every dispatch to a kernel takes now: "AVX3". It is the best one that kernels
// are compiled for and the machine supports, which need not be the best that the machine supports.
const char* cpu_target();

// Whether kernels that add instructions to Highway's AVX-512 can run: processor and operating system have them, and
// that target is the one that dispatches take.
bool has_avx512_vnni();
// Whether kernels that read a stream of memory are faster when they prefetch it. Intel's cores are, as their own
// prefetching ends with each page. On Zen 4 a stream is a third slower with it: lines that are asked for take the few
// buffers of misses of the first cache, which its prefetching into the second does not.
bool wants_prefetch();
// Asks for a line of memory in the second cache. What is to come later would else take the few buffers of misses of the
// first cache from what is read now.
inline void fetch_line(const void* line) { __builtin_prefetch(line, 0, 2); }
// Asks the operating system for the tile registers, which it gives to programs that do.
bool has_amx_bf16();

}  // namespace weft

// Which of the instruction sets that kernels are compiled for is the one that they run with.
#pragma once

namespace weft {

// Name of the Highway target that every dispatch to a kernel takes now: "AVX3". It is the best one that kernels
// are compiled for and the machine supports, which need not be the best that the machine supports.
const char* cpu_target();

}  // namespace weft

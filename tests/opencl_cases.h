// Cases that every kernel of the OpenCL backend must pass, beside the op case tables: each structure that its
// rendering tells apart, at the sizes around the edges of its blocks (32 elements, 4 rows, 32 or 64 keys).
#pragma once

#include <vector>

#include "ops/case.h"

namespace weft {

std::vector<StepCase> opencl_map_cases();
std::vector<StepCase> opencl_reduce_cases();
std::vector<StepCase> opencl_contract_cases();
std::vector<StepCase> opencl_attention_cases();
std::vector<StepCase> opencl_append_cases();

}  // namespace weft

// Cases that every kernel of the OpenCL backend must pass, beside the op case tables: each structure that its
// rendering tells apart, at the sizes around the edges of its blocks (32 elements, 4 rows, 32 or 64 keys).
#pragma once

#include <string>
#include <vector>

#include "ops/harness/case.h"

namespace weft {

std::vector<StepCase> opencl_map_cases();
std::vector<StepCase> opencl_reduce_cases();
std::vector<StepCase> opencl_contract_cases();
std::vector<StepCase> opencl_attention_cases();
std::vector<StepCase> opencl_append_cases();

namespace opencl_cases {

using Sizes = std::vector<int64_t>;

inline std::string sized(const std::string& name, const Sizes& sizes) {
  std::string text = name;
  for (const int64_t size : sizes) text += " " + std::to_string(size);
  return text;
}

inline ScalarProgram just_load(int operand, Element type = Element::f32) {
  ScalarBuilder s;
  return s.finish(s.load(operand, type));
}

}  // namespace opencl_cases

}  // namespace weft

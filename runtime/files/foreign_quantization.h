// Weights that another framework quantized. This build reads none of them; an error can say what they are.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/files/json.h"

namespace weft {

class Checkpoint;
struct CheckpointTensor;

// What an object of a configuration says of how weights were quantized ("quantization_config", "quantization"):
// "gptq (4 bits, groups of 128)". The name is missing where there is none: "(4 bits)". Nothing for an object that
// says that they were not.
std::optional<std::string> stated_quantization(std::string_view key, const Json& object);

// A tensor that holds no floats, and the framework that leaves such tensors: "MLX", "GPTQ (4 bits, groups of
// 128)"; empty where that is not known.
struct QuantizedTensor {
  const CheckpointTensor* tensor;
  std::string method;
};
std::optional<QuantizedTensor> find_quantized_tensor(const Checkpoint& checkpoint);

}  // namespace weft

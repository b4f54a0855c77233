// Weights that another framework quantized. This build reads few of them, but errors can say what they are.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/files/json.h"

namespace weft {

class Checkpoint;
struct CheckpointTensor;

// How an object of a configuration ("quantization_config", "quantization") describes the quantization of weights:
// "gptq (4 bits, groups of 128)", or just "(4 bits)" if the object names no method. Nothing for an object that
// says that the weights are not quantized.
std::optional<std::string> stated_quantization(std::string_view key, const Json& object);

// Whether such an object describes what WeightLoader reads: 8-bit floats (E4M3) with a scale per block of two positive
// extents, or MXFP4.
bool is_read_quantization(const Json& object);

// The framework that leaves such a tensor, which holds no floats: "MLX", "GPTQ (4 bits, groups of 128)"; empty
// where it is not known.
struct QuantizedTensor {
  const CheckpointTensor* tensor;
  std::string method;
};
std::optional<QuantizedTensor> find_quantized_tensor(const Checkpoint& checkpoint);

}  // namespace weft

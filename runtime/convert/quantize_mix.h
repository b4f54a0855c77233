// What `weft quantize` can make, and which format each tensor gets.
//
// A target is a single format for all matrices, or a mix, which spends fewer bits where it matters less. The rules
// are those of llama.cpp (src/llama-quant.cpp), so that files with the same type name have the same formats.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/format/format.h"
#include "runtime/files/gguf.h"

namespace weft {

enum class Mix : uint8_t { none, q2_k_s, q2_k_m, q3_k_s, q3_k_m, q3_k_l, q4_k_s, q4_k_m, q5_k_s, q5_k_m };

struct QuantizeTarget {
  std::string_view name;  // "Q4_0", "Q4_K_M"
  Format format;          // for most tensors
  Mix mix = Mix::none;
  std::optional<uint32_t> file_type;  // the value of general.file_type, where it has a number for it
};

std::span<const QuantizeTarget> quantize_targets();
// In upper or lower case; null if there is no such target.
const QuantizeTarget* find_quantize_target(std::string_view name);

// What the rules need to know about a model.
struct MixFacts {
  bool has_output = true;  // output.weight; otherwise the embedding serves as the output
  uint32_t layers = 0;
  uint32_t experts = 0;
  uint32_t heads_per_kv_head = 1;
  uint32_t value_tensors = 0;  // layers with a matrix for attention values
  bool is_70b = false;         // as ModelFamily::is_70b says
};
MixFacts mix_facts(const GgufFile& file);

// Whether a tensor is quantized at all: matrices are, except norms and the routers of experts.
bool is_quantized(const GgufTensor& tensor);

struct FormatChoice {
  Format format;
  Format wanted;  // differs from `format` where rows do not divide into its blocks
};
FormatChoice choose_format(const QuantizeTarget& target, const MixFacts& facts, std::string_view tensor,
                           size_t row_elements);

}  // namespace weft

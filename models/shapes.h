// Sizes of well-known models: what a file with random weights needs in order to run as theirs do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/files/gguf_writer.h"

namespace weft {

struct ModelShape {
  struct Parts {
    bool tied = false;                 // the embedding is the output's weight
    bool qkv_biases = false;           // of queries, keys and values
    bool head_norms = false;           // of each head's queries and keys
    bool norms_after = false;          // of what attention and the feed-forward network add
    uint32_t window = 0;               // tokens that windowed layers see; 0: all
    uint32_t experts = 0, chosen = 0;  // of each layer, and how many of them a token uses; 0: no experts
  };

  std::string_view name;          // "qwen2.5-0.5b"
  std::string_view architecture;  // general.architecture
  uint32_t layers, embed, hidden, heads, kv_heads, head_dim, vocab, context;
  float rope_base, eps;
  Parts parts;
};

std::span<const ModelShape> model_shapes();
// Null if there is none of that name.
const ModelShape* find_model_shape(std::string_view name);
std::string model_shape_names();  // "tiny, tinyllama-1.1b, ..."

enum class TensorRole : uint8_t { matrix, router, norm, bias };

struct ShapeTensor {
  std::string name;
  std::vector<size_t> shape;  // GGUF's order: the row length first
  TensorRole role;
};

// The tensors and the metadata of a GGUF file, which has no tokenizer.
std::vector<ShapeTensor> tensors_of(const ModelShape& shape);
GgufMetadata metadata_of(const ModelShape& shape);

}  // namespace weft

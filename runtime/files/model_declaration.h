// What a model's code read from a file, in GGUF's terms: the input of conversion.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/files/checkpoint.h"

namespace weft {

struct DeclaredWeight {
  struct Slice {  // consecutive elements of a tensor
    const CheckpointTensor* tensor;
    int64_t first, count;
  };

  std::string name;              // "blk.0.attn_q.weight"
  std::vector<int64_t> extents;  // of GGUF's tensor, from slow to fast
  std::vector<Slice> slices;     // stacked in this order
  int64_t rotated_rows = 0;      // rows of a head, whose halves GGUF interleaves; 0: rows keep their order
  float offset = 0;              // to add to each element
};

struct ModelDeclaration {
  std::vector<DeclaredWeight> weights;
  // Values of GGUF's keys as the model used them: given, assumed or computed. Without those of windows and of
  // rotary positions.
  std::map<std::string, ConfigValue, std::less<>> config;
  std::vector<int64_t> windows;     // of each layer; empty: never read
  bool has_window_pattern = false;  // readers of this family expect that layers differ
};

}  // namespace weft

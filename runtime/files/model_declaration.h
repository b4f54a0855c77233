// What a model's code asked a file for, in GGUF's words: what converting it takes.
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

  std::string name;  // "blk.0.attn_q.weight"
  std::vector<int64_t> extents;  // of GGUF's tensor, from slow to fast
  std::vector<Slice> slices;     // one below the other
  int64_t rotated_rows = 0;      // rows of a head, whose halves GGUF interleaves; 0: rows stay where they are
  float offset = 0;              // to add to each element
};

struct ModelDeclaration {
  std::vector<DeclaredWeight> weights;
  // Values of the keys that GGUF files have, as the model took them: given, assumed or computed. Without those of
  // windows and of rotary positions.
  std::map<std::string, ConfigValue, std::less<>> config;
  std::vector<int64_t> windows;  // of each layer; empty: nobody asked
  bool has_window_pattern = false;  // readers of this family expect that layers differ
};

}  // namespace weft

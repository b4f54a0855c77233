// What a model's code read from a file, in GGUF's terms: the input of conversion.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/deferred_bytes.h"
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
  // Instead of slices, for elements that a file has in another order or form: their bytes in this format.
  std::shared_ptr<const DeferredBytes> arranged = nullptr;
  Format format = Format::f32;
  Format converted = Format::f32;  // what a converter writes, unless it is told otherwise
  int64_t rotated_rows = 0;        // rows of a head, whose halves GGUF interleaves; 0: rows keep their order
  float offset = 0;                // to add to each element
};

struct ModelDeclaration {
  std::vector<DeclaredWeight> weights;
  // Values of GGUF's keys as the model used them: given, assumed or computed. Without those of windows and of
  // rotary positions.
  std::map<std::string, ConfigValue, std::less<>> config;
  std::vector<int64_t> windows;     // of each layer; empty: never read
  bool has_window_pattern = false;  // readers of this family expect that layers differ
  int64_t rotated = 0;              // elements of a head that rotary positions turn; 0: the model has none
  float rope_scale = 1;             // RopeOptions::scale
};

}  // namespace weft

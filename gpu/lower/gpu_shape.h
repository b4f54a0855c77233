// What a device's work-groups look like.
#pragma once

#include <cstddef>

namespace weft {

// Part of every program's text.
struct GpuShape {
  int lanes = 1;        // work-items that share the sum of one output, or of a few neighbouring ones
  int group = 8;        // work-items per group where they do not work together
  int max_group = 256;  // work-items of a group at most
  size_t max_argument_bytes = 1024;
  size_t local_bytes = 32768;
};

}  // namespace weft

// What a SourceRun knows of each operand and coordinate that its program reads. Internal to source_eval.cc and
// source_stage.cc.
#pragma once

#include "ops/cpu/source_eval.h"

namespace weft {

// Formats that the machine reads as they are.
inline bool is_plain(Format format) {
  return format == Format::f32 || format == Format::i32 || format == Format::bool8;
}

struct SourceRun::Load {
  enum class Kind : uint8_t { ids, uniform, in_place, staged };
  const SourceEvaluator::LoadInfo* info = nullptr;
  const std::byte* data = nullptr;
  std::byte* staging = nullptr;
  ResolvedView view;
  int64_t row_offset = 0;
  Coordinates stride{};          // by collapsed inner loop
  int varies_to = -1;            // fastest inner loop that it, or an id that it is gathered by, varies over
  bool gathered_inside = false;  // an id varies over the innermost loop
  int element_bytes = 4;         // as the machine reads it
  Kind kind = Kind::ids;
};

struct SourceRun::Index {
  const SourceEvaluator::IndexInfo* info = nullptr;
  int inner = -1;  // collapsed inner loop; -1: an outer loop, or an extent of 1
  int32_t row_value = 0;
  TileShape shape = TileShape::uniform;
  int32_t* staging = nullptr;
};

}  // namespace weft

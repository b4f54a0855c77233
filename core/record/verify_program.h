// The part of the verifier that types scalar programs. Used by core/record/verify.cc.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "core/record/graph.h"

namespace weft {

// What a program may read at the place where it stands.
struct ProgramScope {
  const GraphRecord& graph;
  const Region& region;
  std::vector<AxisId> axes;                           // axes that the program runs over
  std::span<const Reduction> reductions;              // those that may be read
  std::span<const std::vector<AxisId>> contractions;  // axes of each contraction's result, where they are readable
  bool rotated = false;
  bool cached = false;  // cached operands may be loaded
};

// Calls `fail` (which throws) with what is wrong: "instruction 3 (add): ...".
void verify_program(const ProgramScope& scope, const ScalarProgram& program,
                    const std::function<void(const std::string&)>& fail);

}  // namespace weft

// Operands resolved to addresses for the extents of a run.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/record/graph.h"

namespace weft {

// An operand's element offset as a linear function of loop coordinates, plus at most kMaxGathers gathered terms:
//   offset + sum_i stride[i] * coordinate[i] + sum_g gathers[g].stride * id_g
// in elements of the storage format; the whole is zero (the value 0) if an id_g is outside [0, extent).
struct ResolvedView {
  static constexpr int kMaxGathers = 2;
  struct Gather {
    int ids = -1;  // operand index of the i32 ids
    int64_t stride = 0;
    int64_t extent = 0;  // of the gathered storage axis
  };
  int64_t offset = 0;
  std::array<int64_t, kMaxRank + 1> stride{};  // by position in the loop axes given
  int gather_count = 0;
  std::array<Gather, kMaxGathers> gathers{};
};

// `loops` are the loop axes (at most kMaxRank + 1: the reduced axis may be added). Axes of the view that are not
// in `loops` are an error in the record (which the verifier has refused). Key axes of caches may not be among the
// view's inner axes.
ResolvedView resolve(const Operand& operand, std::span<const AxisId> loops, const int64_t* extents);

// Product of the extents of `axes`.
int64_t element_count(std::span<const AxisId> axes, const int64_t* extents);

}  // namespace weft

// The part of the tile machine that is compiled once per Highway target.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/cpu/tile_machine.h"

namespace weft {

// Where a value lies: element i of a chunk that begins at `base` is at data + 4 * ((base & base_mask) + (i &
// lane_mask)). bool8 values are 32-bit lanes too, all ones or zero.
struct TileSlot {
  const std::byte* data = nullptr;
  uint64_t lane_mask = 0;            // 0 for uniform values, of which kTileLanes equal lanes are stored
  uint64_t base_mask = 0;            // 0 for registers, all ones for memory of the caller
  const std::byte* bytes = nullptr;  // load_bool: the bytes of the source
  int64_t first = 0;                 // iota
};

// Runs operations[order[0 .. count)] over elements [base, base + n); n is a multiple of kTileLanes.
void run_tile_operations(const TileProgram::Operation* operations, const uint16_t* order, size_t count,
                         const TileSlot* slots, int64_t base, int64_t n);

// Accumulates n (any) elements of `value`, or of value * factor (sum and mean only, f32), into `reduction`.
// Elements from n up to the next multiple of kTileLanes are readable.
void reduce_tile(const TileSlot& value, const TileSlot* factor, Element element, int64_t base, int64_t n,
                 TileReduction& reduction);

// Element by element, for n (any) reductions side by side: sums[i] += values[i]; and for the largest values so
// far (NaN is not one): where values[i] is larger, or the first number, best[i] = values[i] and index[i] =
// row. `index` starts as -1, `best` as -inf.
void accumulate_sums(const float* values, int64_t n, double* sums);
void accumulate_largest(const float* values, int64_t n, int32_t row, float* best, int32_t* index);

// n (any) lane masks to bytes 0 and 1.
void store_tile_bools(const void* masks, int64_t n, void* bytes);

}  // namespace weft

// The part of the tile machine that is compiled once per Highway target.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "ops/cpu/tile_machine.h"

namespace weft {

// Where a value lies: element i of a chunk that begins at `base` is at data + 4 * ((base & base_mask) + (i &
// lane_mask)). bool8 values are 32-bit lanes too, all ones or zero.
struct TileSlot {
  const std::byte* data = nullptr;
  uint64_t lane_mask = 0;  // 0 for uniform values
  uint64_t base_mask = 0;  // 0 for registers, all ones for memory of the caller, kTileChunk - 1 for repeated sources
  // iota, load_bool: what the source is, apart from the register, and its base_mask.
  uint64_t source_mask = ~uint64_t{0};
  int64_t first = 0;
  const std::byte* bytes = nullptr;
  size_t uniform_at = 0;  // of uniform values: bytes into the block that has them

  bool is_uniform() const { return lane_mask == 0; }
};

// Programs run as chains of steps: each takes the value of a chunk of elements in vector registers, changes it, and
// jumps to the next step with it (threaded code, whose state is an accumulator). What is neither held nor an operand of
// the caller lies in registers of the machine, which are memory. So an operation costs what its instructions do, and a
// jump per chunk; one that loads and stores each vector costs three times as much, as most of the operations of maps
// are one instruction.
struct TileStep;
struct TileStepCode {
  using Code = void (*)();
  Code chunk = nullptr;  // for a chunk, or one of its equal parts
  Code wide = nullptr;   // for kTileRegister elements, where the target's registers have room for them
  // Common chains of one operation have a loop of their own, in their first step: elements [at, end), whole chunks.
  void (*loop)(const TileStep* step, size_t at, size_t end) = nullptr;
};
struct TileStep {
  TileStepCode code;            // of the target that it was made for
  const TileSlot* a = nullptr;  // operands in memory, in their order; what a store or finish writes to
  const TileSlot* b = nullptr;
  const TileTable* table = nullptr;  // of a lookup
};

struct TileStepKind {
  enum class Does : uint8_t {
    load,
    iota,       // slot `a`, first + element
    load_bool,  // slot `a`, bytes to lane masks
    store,
    compute,  // a ScalarOp
    finish,   // stores, and ends the chain
    store_uniform,
    end,  // of a chain that has stored everything
  };
  Does does = Does::compute;
  ScalarOp op = ScalarOp::constant;
  Element argument = Element::f32;  // type of the first argument
  Element type = Element::f32;
  static constexpr int kNone = -1;
  int holds = 0;  // which argument is held; none: all are in memory, of which one varies
  bool uniform_a = false, uniform_b = false;
  bool is_only = false;  // of its chain; a finish follows
};
// For the target that dispatches take now.
TileStepCode code_of_step(const TileStepKind& kind);

// How a source of a box goes on to the next row.
struct TileMove {
  enum class Does : uint8_t {
    elements,  // slot->data by `step` bytes
    bytes,     // slot->bytes by `step`
    value,     // `from` by `step` bytes: where the uniform value is read
    flag,      // the same for one byte
    count,     // the uniform value by one
  };
  Does does = Does::elements;
  TileSlot* slot = nullptr;
  const std::byte* from = nullptr;
  int64_t step = 0;
};

inline void go_on(TileMove& move, std::byte* uniforms) {
  TileSlot& slot = *move.slot;
  int32_t lanes = 0;
  switch (move.does) {
    case TileMove::Does::elements: slot.data += move.step; return;
    case TileMove::Does::bytes: slot.bytes += move.step; return;
    case TileMove::Does::value: std::memcpy(&lanes, move.from += move.step, 4); break;
    case TileMove::Does::flag: lanes = *(move.from += move.step) != std::byte{0} ? -1 : 0; break;
    case TileMove::Does::count: std::memcpy(&lanes, uniforms + slot.uniform_at, 4), ++lanes; break;
  }
  std::memcpy(uniforms + slot.uniform_at, &lanes, 4);
}

// Rows of `n` elements, at least a chunk; where that is no multiple of chunks, the last chunk overlaps the one before.
struct TileBox {
  const TileStep* steps = nullptr;
  const TileStep* uniform_steps = nullptr;  // run when uniform values have moved; null: there are none
  std::byte* uniforms = nullptr;
  std::span<TileMove> moves;
  TileSlot* result = nullptr;
  int64_t result_step = 0;  // bytes from row to row
  int64_t rows = 0, n = 0;
};
void run_tile_box(const TileBox& box);

// Runs a chain over elements [base, base + n), whole chunks. `uniforms`: the uniform values' block of the first chunk,
// from which that of each next one is `uniform_step` bytes on.
void run_tile_steps(const TileStep* steps, int64_t base, int64_t n, const std::byte* uniforms, size_t uniform_step);

// Accumulates n (any) elements of `value`, or of value * factor (sum and mean only, f32), into `reduction`.
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

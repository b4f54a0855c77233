// The vector machine: runs a ScalarProgram over runs of elements, a chunk at a time, as a chain of steps that hand
// the value of the chunk on in vector registers (tile_kernels.h).
//
// A TileProgram is prepared once from a ScalarProgram and is immutable. What a run needs (registers, constants,
// where each source instruction reads) lies in a TileFrame that the caller owns: one per thread, in scratch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/record/graph.h"
#include "core/record/scalar.h"

namespace weft {

// Elements of a tile: what is staged for the machine at a time, and reduced at a time.
inline constexpr int64_t kTile = 256;
// Elements of a chunk, the multiple that the machine works in.
inline constexpr int64_t kTileChunk = 64;
// Elements of a register, and most that the machine works on at a time.
inline constexpr int64_t kTileRegister = 128;
// Lanes of the longest vector of any target.
inline constexpr int64_t kTileLanes = 16;

// How a source instruction varies over the elements of a run.
enum class TileShape : uint8_t {
  uniform,     // one value
  contiguous,  // consecutive elements in memory: f32, i32, or bytes for bool8 (any non-zero byte is true)
  iota,        // i32 only: first, first + 1, ...
};

// A reduction that is being accumulated over several runs: f32 sums in f32 within a tile and in f64 across tiles,
// i32 and bool8 exactly.
struct TileReduction {
  ReduceOp op = ReduceOp::sum;
  Element element = Element::f32;  // of what is reduced
  int64_t count = 0;               // elements seen
  double sum = 0;
  int64_t int_sum = 0;
  float best = 0;  // the largest; the lowest number if there is none
  int32_t int_best = 0;
  int64_t best_index = -1;  // of the first largest; -1 if there is none

  void reset(ReduceOp reduce_op, Element reduced_element);
  // Adds what another thread or range accumulated; its elements come after this one's.
  void merge(const TileReduction& other);
  // The bits of the result: i32 for argmax and for sum and max of i32 and bool8 (sums wrap), else f32.
  uint32_t result() const;
};

// What a ScalarOp::lookup reads: elements of a float format or i32. Its second argument, which the machine adds, is a
// source of the same op: the element's offset at coordinate 0 of the axis that is looked up, an i32.
struct TileTable {
  const std::byte* data = nullptr;
  Format format = Format::f32;
  int32_t extent = 0;  // of that axis
  int32_t stride = 1;  // elements from one coordinate on it to the next
};

struct TileMove;
struct TileSlot;
struct TileStep;
class TileProgram;

// The state of one thread's runs of one program. Lives in memory of TileProgram::frame_bytes(), aligned to 64
// bytes; needs no destruction.
class TileFrame {
 public:
  // Says how each source (by its position in TileProgram::sources()) varies. All must be set, then start() called,
  // before anything else; doing so again changes the shapes.
  void set_shape(size_t source, TileShape shape) { shapes_[source] = shape; }
  void start();

  // The value of a uniform source: one f32, i32 or byte. Takes effect with run_uniform().
  void set_uniform(size_t source, const void* value);
  // Computes all that depends on uniform sources only, for the runs that follow. Needed at least once.
  void run_uniform();

  // The table of a lookup, by the source that holds its offsets. Needed before the first run.
  void set_table(size_t source, const TileTable& table) { tables_[source] = table; }

  // A block of all uniform values, constants included, as they are now: TileProgram::uniform_bytes() bytes.
  void copy_uniforms(std::byte* to) const;
  // From now on `source`, contiguous or iota, repeats its first kTileChunk elements, until the next start().
  void repeat(size_t source);

  // Where the next runs read: elements that stay unchanged until they are done. No alignment is required.
  void set_contiguous(size_t source, const void* elements);
  void set_iota(size_t source, int32_t first);

  // Computes `n` >= 0 elements into `out` (f32, i32, or bytes 0 and 1 for bool8). `out` may be a contiguous source
  // of elements of its size, at the same first element; else it overlaps none.
  void run(int64_t n, void* out);
  // What changes from row to row of run_box(), besides what repeats or stays as it is. The rows' first values are those
  // that were set; moves hold for one run_box().
  void move_contiguous(size_t source, int64_t bytes);                  // its elements lie so much further on
  void move_uniform(size_t source, const void* value, int64_t bytes);  // `value`: the first one
  void move_count(size_t source);                                      // an i32 that grows by one
  // As run() for each of `rows` >= 0 rows, whose results lie `out_bytes` apart. `out` may be a contiguous source that
  // moves as it does. Leaves sources that move, and what depends on them, as they were in some row.
  void run_box(int64_t rows, int64_t n, void* out, int64_t out_bytes);
  // Computes rows of kTileChunk elements, which lie one after the other in `out` and in contiguous sources; each has
  // its uniform values in a block of copy_uniforms(). Not for bool8.
  void run_rows(int64_t rows, const std::byte* uniforms, void* out);
  // Feeds `n` elements to a reduction, which was reset for the program's type.
  void reduce(int64_t n, TileReduction& reduction);

 private:
  friend class TileProgram;
  TileStep* add_steps(const uint16_t* order, size_t count, bool uniform, TileStep* step);
  void run_chunks(int64_t base, int64_t n, const std::byte* uniforms, size_t uniform_step, std::byte* out);
  const std::byte* run_last(int64_t n);
  void add_move(const TileMove& move);
  bool is_source(const void* out) const;
  void go_on();
  void point_at_edges(int64_t n);
  void point_back();

  const TileProgram* program_ = nullptr;
  TileShape* shapes_ = nullptr;
  TileTable* tables_ = nullptr;                  // by source
  const std::byte** source_data_ = nullptr;      // by source
  TileSlot* slots_ = nullptr;                    // by value: where it lies now
  uint16_t* order_ = nullptr;                    // indices of operations: of those that run once, then of the others
  TileStep* steps_ = nullptr;                    // the chain that runs per chunk ...
  TileStep* uniform_steps_ = nullptr;            // ... and the one that runs once
  uint32_t tile_count_ = 0, uniform_count_ = 0;  // operations of these
  TileMove* moves_ = nullptr;                    // at most one per source
  uint32_t move_count_ = 0;
  bool uniforms_move_ = false;
  bool uniform_result_ = false;
  std::byte* uniforms_ = nullptr;  // one element per value
  std::byte* registers_ = nullptr;
  std::byte* edges_ = nullptr;   // kTileChunk elements per source, then of the result
  std::byte* result_ = nullptr;  // kTile elements, of what is reduced or becomes bytes
};

class TileProgram {
 public:
  TileProgram() = default;
  // Instructions that the result does not need are dropped. A program is at most a few hundred instructions long.
  explicit TileProgram(const ScalarProgram& program);

  bool empty() const { return values_.empty(); }
  Element type() const { return type_; }  // of the result
  // The source instructions that the result needs, each once (all but constants). A lookup stands for its offsets.
  std::span<const ScalarInstr> sources() const { return sources_; }

  size_t frame_bytes() const { return frame_bytes_; }
  size_t uniform_bytes() const { return values_.size() * 4; }
  // `memory`: frame_bytes() bytes, 64-byte aligned.
  TileFrame* make_frame(std::byte* memory) const;

  // What the machine executes: ScalarOps, and conversions of sources. For tests to look at.
  enum class Op : uint8_t {
    scalar,     // a ScalarOp
    iota,       // an i32 source of shape iota
    load_bool,  // a bool8 source that is contiguous: bytes to lane masks
  };
  struct Operation {
    Op op = Op::scalar;
    ScalarOp scalar = ScalarOp::constant;
    Element argument = Element::f32;  // type of the first argument
    Element type = Element::f32;
    uint16_t out = 0, a = 0, b = 0, c = 0;  // values
  };
  std::span<const Operation> operations() const { return operations_; }
  int register_count() const { return register_count_; }

 private:
  friend class TileFrame;
  struct ValueInfo {
    Element type = Element::f32;
    bool is_constant = false;
    int32_t bits = 0;  // of a constant: what each lane holds (bool8: all ones or zero)
    int source = -1;   // position in sources_
    int tile_register = -1;
    int uses = 0;  // as an argument
  };
  void add_operations(const ScalarProgram& program);
  uint16_t add_source(const ScalarInstr& instr);
  void allocate_registers();
  void lay_out();

  std::vector<ValueInfo> values_;
  std::vector<Operation> operations_;  // in an order in which arguments come first
  std::vector<ScalarInstr> sources_;
  std::vector<uint16_t> source_values_;
  uint16_t result_ = 0;
  Element type_ = Element::f32;
  int register_count_ = 0;
  size_t shapes_at_ = 0, tables_at_ = 0, source_data_at_ = 0, slots_at_ = 0, order_at_ = 0, steps_at_ = 0,
         moves_at_ = 0;
  size_t uniforms_at_ = 0, registers_at_ = 0, edges_at_ = 0, result_at_ = 0, frame_bytes_ = 0;
};

}  // namespace weft

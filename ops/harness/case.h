// A step with everything that it takes to run it: what tests, benchmarks and generators pass to the kernels.
//
//   CaseBuilder c(StepKind::map, "add");
//   const AxisId pos = c.axis("pos", 3), embed = c.axis("embed", 17);
//   const int x = c.operand(c.input("x", {pos, embed}));
//   const int bias = c.operand(c.weight("bias", {embed}, Format::f16));
//   ScalarBuilder s;
//   c.body({pos, embed}, s.finish(s.load(x) + s.load(bias)));
//   StepCase step_case = c.build();
//   Outputs want = run_reference(step_case);     // ops/harness/reference.h
//   Outputs got = run_cpu(step_case);            // ops/harness/run_cpu.h
//   EXPECT_EQ(compare(step_case, got, want, {}), "");
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/format/format.h"
#include "core/record/graph.h"
#include "ops/harness/scalar_builder.h"
#include "ops/step.h"

namespace weft {

// Bytes of exactly the size asked for, 64-byte aligned, so that a sanitizer sees each access past the end.
class CaseBytes {
 public:
  CaseBytes() = default;
  explicit CaseBytes(size_t size);
  std::byte* data() const { return data_.get(); }
  size_t size() const { return size_; }

 private:
  std::shared_ptr<std::byte> data_;
  size_t size_ = 0;
};

// What the step wrote: the bytes of each of StepCase::written(), in that order.
using Outputs = std::vector<std::vector<std::byte>>;

// Copies share their storage.
struct StepCase {
  GraphRecord graph;                            // with exactly one step
  std::vector<int64_t> extents;                 // by AxisId; -1 for the key axes of caches
  std::vector<int64_t> max_extents;             // by AxisId: `extents`, and for a key axis the longest sequence
  std::vector<CaseBytes> bytes;                 // by ValueId
  std::vector<std::vector<std::byte>> initial;  // by ValueId: what reset() restores
  std::vector<void*> data;                      // by ValueId: bytes[v].data()
  std::vector<PageTable> pages;                 // by cache
  std::vector<std::shared_ptr<std::vector<int32_t>>> page_storage;

  // The page table of the next cache, as PageTable has it: table[sequences][max_pages], length[sequences],
  // first[sequences]. page_storage gets the three arrays in this order.
  void add_pages(std::vector<int32_t> table, std::vector<int32_t> length, std::vector<int32_t> first, int32_t max_pages,
                 int32_t page_size);

  const Step& step() const { return graph.steps.front(); }
  const std::string& name() const { return graph.steps.front().name; }
  StepArgs args() const;  // without scratch
  // Number of elements of a value as it is stored (a cache's values: of all slots of the pool).
  int64_t element_count(ValueId value) const;
  // Values that the step writes: its outputs, for an append the cache's positions, for a scan its state.
  std::vector<ValueId> written() const;
  // Everything as it was built: outputs hold a pattern (0xa5 bytes), cache slots without a token hold NaN.
  void reset() const;
  Outputs outputs() const;
};

// How the elements of a value are drawn. Uniform in [low, high] for floats, in [low, high) for i32; bool8 is a
// coin.
struct Fill {
  double low = -1, high = 1;
  double nonfinite = 0;  // share of elements (of blocks, where there are some) that are NaN, inf or -inf
};

// A sequence of a paged cache.
struct CaseSequence {
  int32_t length = 0;        // cached tokens, those of this step's rows included
  int32_t rows = 0;          // coordinates on `pos` that belong to it: its last tokens
  int32_t shared_pages = 0;  // leading pages that are those of sequence 0
  int32_t gone_pages = 0;    // leading pages that the sequence's window has passed: whole ones, before its rows
};

struct CacheSpec {
  std::string name = "cache";
  AxisId key = kNoAxis;  // from key_axis()
  AxisId pos = kNoAxis;  // its extent must be the sum of the sequences' rows
  int32_t page_size = 4;
  std::vector<CaseSequence> sequences = {};
  std::vector<std::vector<AxisId>> fields = {};  // axes after `key`, e.g. {{kv_head, head_dim}, {kv_head, value_dim}}
  std::vector<Format> formats = {};              // of each field; f32 where absent
  bool shuffled_rows = false;  // rows of the sequences interleaved on `pos`, not one sequence after the other
  int32_t first_position = 0;  // of each sequence's first cached token
  int32_t skip_every = 0;      // n > 0: each n-th row has slot -1 (for appends)
  Fill fill = {};              // of the cached tokens
};

struct CaseCache {
  int cache = -1;
  std::vector<ValueId> fields;
  ValueId positions = kNoValue;   // i32[key]
  ValueId pos_values = kNoValue;  // i32[pos]: position of each row
  ValueId slots = kNoValue, seq = kNoValue;
};

// The tokens of one sequence in a step of a scan.
struct CaseRun {
  int32_t rows = 0;
  int32_t from = kZeroState;  // slot of the state before the first row, or kZeroState
  int32_t to = -1;            // slot of the state after the last one; < 0: it is not kept
  int32_t kept_after = 0;     // > 0: the state after so many rows is written to slot `kept_to`
  int32_t kept_to = -1;
};

struct StateSpec {
  std::string name = "state";
  AxisId pos = kNoAxis;           // its extent must be the sum of the runs' rows
  std::vector<AxisId> axes = {};  // the head axes, k and v; or tap and channel
  int32_t slots = 1;
  std::vector<CaseRun> runs = {};
  Fill fill = {};  // of all slots
};

// Axes of a view. A renamed, split or merged view is one whose `whole` axes differ from the value's own.
inline ViewAxis whole(AxisId axis) { return {axis, axis, 0, -1}; }
inline ViewAxis sliced(AxisId axis, AxisId stored, int64_t begin) { return {axis, stored, begin, -1}; }
inline ViewAxis looked_up(AxisId stored) { return {kNoAxis, stored, 0, -1}; }
inline ViewAxis gathered(AxisId stored, int ids_operand) { return {kNoAxis, stored, 0, ids_operand}; }

// Builds a record in the order in which it is written down; build() fills the values by the seed.
class CaseBuilder {
 public:
  explicit CaseBuilder(StepKind kind, std::string name = "case", uint64_t seed = 1);

  AxisId axis(std::string name, int64_t extent);
  AxisId key_axis(std::string name = "key");  // of a paged cache: it has no extent

  ValueId input(std::string name, std::vector<AxisId> axes, Format format = Format::f32, Fill fill = {});
  ValueId ids(std::string name, std::vector<AxisId> axes, int32_t low, int32_t high);  // i32 in [low, high)
  ValueId weight(std::string name, std::vector<AxisId> axes, Format format = Format::f32, Fill fill = {});
  CaseCache cache(const CacheSpec& spec);
  int state(const StateSpec& spec);  // the index of the state
  // Replaces what the fill would draw, in storage order.
  void set(ValueId value, std::vector<float> elements);
  void set(ValueId value, std::vector<int32_t> elements);

  // The region under construction. Only an append has more than one: next_region() starts each after the first.
  Region& region() { return region_; }
  void next_region();
  int operand(ValueId value);  // the value as it is
  int operand(ValueId value, std::vector<ViewAxis> view);
  Element element(int operand) const;
  int lhs(std::vector<AxisId> axes, ScalarProgram program, AxisId reduced = kNoAxis,
          std::vector<Reduction> reductions = {});
  int lhs(int operand);  // an operand without a prologue
  int contraction(int lhs, int rhs, std::vector<AxisId> over);
  void body(std::vector<AxisId> axes, ScalarProgram program, AxisId reduced = kNoAxis,
            std::vector<Reduction> reductions = {});
  void attention(AxisId key, int value, bool statistics = false, ScalarProgram sink = {});
  // Of region.axes = pos, the state's heads, its columns. The body is the recurrence's result where none is given.
  void scan(const Scan& scan);
  void rotation(Rotation rotation) { region_.rotation = std::move(rotation); }
  void post(ScalarProgram program) { region_.post = std::move(program); }
  void selection(AxisId axis, AxisId choice, bool values = true) { region_.selection = {axis, choice, values}; }
  void append_to(const CaseCache& cache);  // of an append: the cache; its fields are the outputs

  // Adds the outputs, fixes the result's axes where region().axes is empty (those of the body; for attention the
  // query axes and then the value's own), and fills everything.
  StepCase build();

 private:
  struct Content {
    Fill fill;
    std::optional<std::vector<float>> floats = std::nullopt;
    std::optional<std::vector<int32_t>> ints = std::nullopt;
  };

  ValueId add(std::string name, ValueKind kind, Format format, std::vector<AxisId> axes, Fill fill, int cache = -1);
  void finish_region();
  void add_output(std::vector<AxisId> axes, Element element, std::string name);
  int64_t element_count(ValueId value) const;
  int32_t slots_of(ValueId state) const;
  std::vector<std::byte> filled(ValueId value) const;
  std::vector<std::byte> filled_cache(ValueId value) const;

  GraphRecord graph_;
  Step step_;
  Region region_;
  bool region_open_ = true;
  uint64_t seed_;
  std::vector<int64_t> extents_;
  std::vector<Content> contents_;

  struct Pool {  // of one cache
    CacheSpec spec;
    std::vector<int32_t> table;           // [sequences][max_pages]
    std::vector<int32_t> lengths, first;  // by sequence
    int32_t max_pages = 0;
    int32_t pool_pages = 0;
    int32_t slot(int32_t sequence, int32_t token) const;
  };
  std::vector<Pool> pools_;
  std::vector<int32_t> state_slots_;  // by state
};

// Allowed difference |a - b| <= absolute * magnitude + relative * |b|.
struct Tolerance {
  double absolute = 2e-6;
  double relative = 1e-5;
  double magnitude = 1;  // such as absolute_sum(case) of ops/harness/reference.h where sums may cancel
};

// "" where the outputs agree, else the largest difference: value, coordinates, both elements. NaN equals NaN, an
// infinity equals itself; fields of caches may differ by one more step of the format that they are stored in; integers
// and bools must be equal, but ids of a selection may differ where the values that they choose, by `b`, tie within the
// tolerance.
std::string compare(const StepCase& step_case, const Outputs& a, const Outputs& b, const Tolerance& tolerance);

}  // namespace weft

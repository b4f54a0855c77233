// Graph records: what `materialize` leaves behind. Types are erased here; a backend sees only these records.
//
// Layout rule: a value is stored contiguously in the order of its axes, the last one fastest. There is no other
// layout state; an Operand may look at a value through a relabelled (split, merged, renamed), sliced or gathered
// view of that storage.
// Extent rule: within one graph an axis has one extent at a time. It is fixed by the axis type, by a weight, or by
// a run-time input, and disagreements are found when inputs are bound.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/format/format.h"
#include "core/record/scalar.h"
#include "core/record/weight_source.h"
#include "core/scattered_bytes.h"

namespace weft {

using AxisId = uint16_t;
using ValueId = uint32_t;
inline constexpr AxisId kNoAxis = 0xffff;
inline constexpr ValueId kNoValue = 0xffffffff;
inline constexpr int kMaxRank = 8;  // axes of one value, and of one step's loops

struct AxisRecord {
  std::string name;
  int64_t fixed_extent = -1;       // from the axis type; -1: bound at run time
  const void* identity = nullptr;  // address that is unique to the axis type
};

// Bytes that outlive every plan that uses them: a tensor, or a weight in a file. Blocks of a quantized format
// follow each other over the whole storage; one block may span several axes (heads of 48 in rows of 288), but the
// elements of all axes together must be whole blocks.
// Elements may have a scale stored beside them. Expressions that read such a storage record the multiplication, by a
// weight of its own; steps and kernels know nothing of it.
struct Storage {
  std::string name;
  Format format = Format::f32;
  std::vector<int64_t> extents;
  std::byte* data = nullptr;                     // null where `pieces` has the elements
  std::shared_ptr<const ScatteredBytes> pieces;  // of a file that has them in several places; may be null
  std::shared_ptr<const void> owner;             // keeps both alive (a buffer, a mapped file)
  bool is_mapped = false;                        // of a file, read only: pages that leave the process can be read again
  // Whose weight of this name and these extents it is; null where it is of no file.
  std::shared_ptr<const WeightSource> source;
  std::shared_ptr<const Storage> scale;  // f32: one number, or one for each coordinate of the first axis; may be null
  size_t bytes() const;
  // All bytes in one place; pieces are joined when first asked for. Throws Error where memory runs out.
  const std::byte* stored() const { return pieces == nullptr ? data : pieces->joined(); }
  // The bytes [begin, begin + count); those of pieces are copied into `copy`.
  const std::byte* stored(size_t begin, size_t count, std::vector<std::byte>& copy) const;
  // Begins to read bytes of a file from the disk, without waiting.
  void read_ahead(size_t begin, size_t count) const;
};

enum class ValueKind : uint8_t {
  input,          // bound on each run
  weight,         // `storage`, constant for the plan's life
  intermediate,   // written by a step
  cache_field,    // rows in the pages of cache `cache`; axes[0] is the cache's key axis
  cache_position  // i32, axes = {key}: the position of each cached token of cache `cache`
};

// What fields of caches can be stored in; f32 unless a plan or the graph says otherwise.
inline constexpr Format kCacheFormats[] = {Format::f32, Format::f16, Format::bf16, Format::q8_0};
bool is_cache_format(Format format);

// What reading an element of the format gives, and the format in which results of that element are stored.
Element read_as(Format format);
Format plain_format(Element element);

struct ValueRecord {
  std::string name;
  ValueKind kind = ValueKind::intermediate;
  Format format = Format::f32;  // f32, i32, bool8; of weights and inputs any, of cache fields one of kCacheFormats
  std::vector<AxisId> axes;
  std::shared_ptr<const Storage> storage;  // weight only
  int cache = -1;                          // cache_field, cache_position
  Element element() const { return read_as(format); }
  bool is_cached() const { return kind == ValueKind::cache_field || kind == ValueKind::cache_position; }
};

// One axis of an operand's view, from slow to fast. The storage extent is that of axis `stored`; the coordinate in
// storage is begin + (coordinate on `axis`), or begin + ids where `gather` names the i32 operand that holds them.
// An id outside [0, extent(stored)) reads as zero.
struct ViewAxis {
  AxisId axis = kNoAxis;    // loop axis; kNoAxis where gathered
  AxisId stored = kNoAxis;  // axis whose extent the storage has here (== axis unless sliced or gathered)
  int64_t begin = 0;
  int gather = -1;  // index into the region's operands
  bool operator==(const ViewAxis&) const = default;
};

// A leaf of a step. Its loop axes are those of its view and of the ids that it is gathered by; over all other
// loop axes it is broadcast.
struct Operand {
  ValueId value = kNoValue;
  std::vector<ViewAxis> view;
  bool operator==(const Operand&) const = default;
};

enum class ReduceOp : uint8_t {
  sum,     // 0 for an empty axis
  mean,    // sum / extent; NaN for an empty axis
  max,     // ignores NaN; -inf for an empty axis (or one of NaN only)
  argmax,  // i32: the lowest index of the largest; ignores NaN; 0 for an empty axis or one of NaN only
};

struct Reduction {
  ReduceOp op = ReduceOp::sum;
  ScalarProgram program;  // over the source's axes plus `reduced`; may read earlier reductions
  bool operator==(const Reduction&) const = default;
};

// A map, or a norm: reductions along one axis, then a map over their results; softmax and the norms are recorded so.
// All programs of a body may read contractions, also those of reductions, whose axis is then one of the result's.
struct Source {
  std::vector<AxisId> axes;  // of the result, in its memory order; may or may not contain `reduced`
  AxisId reduced = kNoAxis;
  std::vector<Reduction> reductions;
  ScalarProgram program;
  bool operator==(const Source&) const = default;
};

// sum over `over` of lhs * rhs. Axes that both sides have and that are not contracted are batch axes. `over` is in
// the order in which rhs stores these axes.
struct Contraction {
  int lhs = 0;  // index into Region::lhs
  int rhs = 0;  // index into Region::operands: f32-like (any float format)
  std::vector<AxisId> over;
  bool operator==(const Contraction&) const = default;
};

// A contraction of a graph: its index in its region.
struct ContractionRef {
  size_t step = 0, region = 0, contraction = 0;
  bool operator==(const ContractionRef&) const = default;
};

enum class RopePairs : uint8_t { half_split, interleaved };  // (i, i + d/2) or (2i, 2i + 1)

// Rotary embedding along `axis` (Su et al. 2021, arXiv:2104.09864): pair i of the first 2*frequencies.size() elements
// is turned by angle position * frequencies[i] (f32 product) and scaled by `scale`; the rest passes unchanged.
// Where `frequencies` is empty, they are base^(-2i/d) for d = extent(axis).
struct Rotation {
  AxisId axis = kNoAxis;
  RopePairs pairs = RopePairs::half_split;
  int position = 0;  // index into the region's operands: i32, axes among the region's
  std::shared_ptr<const std::vector<float>> frequencies;
  float base = 10000.0f;
  float scale = 1.0f;
};

// Row-wise choice of the k largest along `axis` of the region's result: values descending, ties to the lower index,
// NaN last (as -inf). k == 1 and ids only is argmax.
struct Selection {
  AxisId axis = kNoAxis;    // reduced
  AxisId choice = kNoAxis;  // replaces `axis` in the outputs; kNoAxis for argmax
  bool values = true;       // outputs are {values, ids}, or {ids}
};

// softmax along `key` of the region's body (the score), then the contraction with operand `value` over `key`.
// A row whose scores are all -inf gives 0.
//
// A sink is one more score of each row, of no key and without a value: it takes part in the softmax's maximum and adds
// exp(sink) to its denominator, once, and nothing to the result (Xiao et al. 2023, arXiv:2309.17453, section 3.3). A
// row that sees no key is 0 all the same.
struct KeyAttention {
  AxisId key = kNoAxis;
  int value = 0;            // index into the region's operands, which has `key`
  bool statistics = false;  // more outputs after the result: kStatistics
  ScalarProgram sink = {};  // f32 over the query axes; empty: none
};

// Of each row's softmax, f32 over the query axes: see ops/attention/statistics.h.
inline constexpr std::string_view kStatistics[] = {"log_sum_exp", "largest", "entropy"};

// An operation that only a kernel of its name knows. It computes each row along `along` of the result from the rows of
// the operands there; the region's body, the sum of its operands, says no more than what is read.
struct CustomOp {
  std::string name;
  AxisId along = kNoAxis;
  std::vector<int> operands;  // in the op's order: indices into the region's
  std::vector<float> constants;
};

// One computation. In this order:
//   lhs[i]         prologues of the contractions
//   contractions   read by `body` as ScalarOp::contraction
//   body           over axes `body.axes`
//   attention      attention only: body.axes = query axes then `key`; `axes` = query axes then the value's own;
//                  its sink is over the query axes
//   rotation       then `post` (reads ScalarOp::rotated) if it is not empty
//   selection      last
struct Region {
  std::vector<AxisId> axes;  // of the result before selection, in memory order
  std::vector<Operand> operands;
  std::vector<Source> lhs;
  std::vector<Contraction> contractions;
  Source body;
  std::optional<KeyAttention> attention;
  std::optional<Rotation> rotation;
  ScalarProgram post;
  std::optional<Selection> selection;
  std::optional<CustomOp> custom;  // of steps of that kind
};

enum class StepKind : uint8_t { map, reduce, contract, attention, append, custom };
inline constexpr int kStepKindCount = 6;
std::string_view name(StepKind kind);

// map, reduce, contract, attention, custom: one region; outputs = {result}, or {values, ids} / {ids} with a selection,
// or {result, log_sum_exp, largest, entropy} with statistics.
// append: one region per field of cache `cache`; outputs[i] is that field's value. Row r (coordinate on the
// cache's pos axis, which leads each region's axes) is written to physical slot slots[r]; a slot < 0 is not written.
struct Step {
  StepKind kind = StepKind::map;
  std::string name;
  std::vector<Region> regions;
  std::vector<ValueId> outputs;
  int cache = -1;  // append
};

// A paged cache (of one layer). Fields are stored as rows of slots: physical slot = page * page_size + offset. Key
// coordinate j of sequence s lies in slot page_table[s][j / page_size] * page_size + j % page_size; a query of
// position p belongs to sequence seq[p], and its key axis ends at length[seq[p]]. So `key` has no single extent
// within the graph. The first keys, whose pages a sliding window has passed, may be gone: no query sees them.
struct CacheRecord {
  std::string name;
  AxisId key = kNoAxis;
  AxisId pos = kNoAxis;
  std::vector<ValueId> fields;
  ValueId positions = kNoValue;   // cache_position value
  ValueId pos_values = kNoValue;  // i32[pos]: the position to record for each appended row
  ValueId slots = kNoValue;       // i32[pos]
  ValueId seq = kNoValue;         // i32[pos]
  int group = 0;                  // layers of one group share page tables and `slots`
};

// Extents that must hold besides equality by axis: extent(whole) == extent(outer) * extent(inner), for split and
// merge; extent(whole) == extent(outer) where inner is kNoAxis, for rename; extent(whole) == count where outer is
// kNoAxis, for slice; slice also needs begin + count <= extent(outer), which is checked when extents are known.
struct ExtentRule {
  enum class Kind : uint8_t { product, equal, slice } kind = Kind::equal;
  AxisId whole = kNoAxis, outer = kNoAxis, inner = kNoAxis;
  int64_t begin = 0, count = 0;
  std::string what;  // "split<embed, kv_head, head_dim>": for the error
};

struct GraphRecord {
  std::vector<AxisRecord> axes;
  std::vector<ValueRecord> values;
  std::vector<Step> steps;
  std::vector<CacheRecord> caches;
  std::vector<ExtentRule> rules;
  std::vector<ValueId> results;  // values that a run must leave readable
};

// The axes over which an operand varies: its view's, and those of the ids that gather it; no duplicates.
std::vector<AxisId> loop_axes(const Region& region, const Operand& operand);
// The axes of a contraction's result: those of its lhs, then those that its rhs adds; the contracted ones excepted.
std::vector<AxisId> contraction_axes(const Region& region, const Contraction& contraction);
// The element of a region's result before selection.
Element result_element(const Region& region);
// The axes of an attention's score but for the key.
std::vector<AxisId> query_axes(const Region& region);
// The cache in which operands of the region lie (all in one); -1: none does.
int cache_of(const GraphRecord& graph, const Region& region);

// Text of a step's records, as `explain --records` and failing tests print it.
std::string to_string(const GraphRecord& graph, const Step& step);

}  // namespace weft

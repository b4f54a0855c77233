// Graph records: what `materialize` leaves behind. Types are erased here; a backend sees only these records.
//
// Layout rule: a value is stored contiguously in the order of its axes, the last one fastest. There is no other
// layout state; an Operand may look at a value through a relabelled (split, merged, renamed), sliced or gathered
// view of that storage.
// Extent rule: within one graph an axis (an instance of an axis type) has one extent at a time. It is fixed by the axis
// type, by a weight, or by a run-time input, and disagreements are found when inputs are bound.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/deferred_bytes.h"
#include "core/format/format.h"
#include "core/record/scalar.h"
#include "core/record/weight_source.h"

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
  uint16_t instance = 0;           // of the type: layers of different widths have different ones
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
  std::byte* data = nullptr;                    // null where `pieces` has the elements
  std::shared_ptr<const DeferredBytes> pieces;  // of a file that has them elsewhere or otherwise; may be null
  std::shared_ptr<const void> owner;            // keeps both alive (a buffer, a mapped file)
  bool is_mapped = false;                       // of a file, read only: pages that leave the process can be read again
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
  input,           // bound on each run
  weight,          // `storage`, constant for the plan's life
  intermediate,    // written by a step
  cache_field,     // rows in the pages of cache `cache`; axes[0] is the cache's key axis
  cache_position,  // i32, axes = {key}: the position of each cached token of cache `cache`
  state            // f32: one of StateRecord, in each slot of the pool; axes: of one slot
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
  bool ids_within = false;  // of an i32 input: those that gather a view are within its axis, or the run is refused
  Element element() const { return read_as(format); }
  bool is_cached() const { return kind == ValueKind::cache_field || kind == ValueKind::cache_position; }
  bool has_slots() const { return is_cached() || kind == ValueKind::state; }  // of a pool, each with its elements
};

// One axis of an operand's view, from slow to fast. The storage extent is that of axis `stored`; the coordinate in
// storage is begin + (coordinate on `axis`), or begin + ids where `gather` names the i32 operand that holds them, or,
// of one axis at most, the argument of the ScalarOp::lookup that reads the operand. An id or argument outside [0,
// extent(stored)) reads as zero.
struct ViewAxis {
  AxisId axis = kNoAxis;    // loop axis; kNoAxis where gathered or looked up
  AxisId stored = kNoAxis;  // axis whose extent the storage has here (== axis unless sliced or gathered)
  int64_t begin = 0;
  int gather = -1;  // index into the region's operands
  bool is_looked_up() const { return axis == kNoAxis && gather < 0; }
  bool operator==(const ViewAxis&) const = default;
};

// A leaf of a step. Its loop axes are those of its view and of the ids that it is gathered by; over all other
// loop axes it is broadcast.
struct Operand {
  ValueId value = kNoValue;
  std::vector<ViewAxis> view;
  // Whether only ScalarOp::lookup can read it.
  bool is_looked_up() const;
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

// Pairs from `first` on, up to those of the next section, are turned by another position.
struct RotationSection {
  int64_t first = 0;
  int position = 0;  // as Rotation::position
  bool operator==(const RotationSection&) const = default;
};
inline constexpr size_t kMaxRotationSections = 3;  // beside the first pairs

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
  // Where a token has several positions (time, row and column): the later ones, ascending by their first pair (M-RoPE:
  // Wang et al. 2024, arXiv:2409.12191, section 2.1).
  std::vector<RotationSection> sections = {};
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

// What a recurrence is made of: indices of Region::lhs, -1 where absent. Each source is over some of the loop axes, in
// this order: the head axes, pos, and then one axis of its own, that of the state's rows (k) or columns (v).
struct ScanRoles {
  int query = -1;  // q: k
  int key = -1;    // k: k. convolution: the weights of the taps, over channel and tap
  int value = -1;  // v: v. convolution: the input, over pos and channel
  int decay = -1;  // d, a logarithm <= 0, -inf allowed: k, or none of its own; absent: 0
  int erase = -1;  // a: k; both or neither
  int read = -1;   // b: k
  int bonus = -1;  // u: k, or none of its own; where it is there, the output is of the state before the row
  bool operator==(const ScanRoles&) const = default;
};

// A recurrence along `pos`, for each coordinate of the head axes. With S of K x V the state, for row t of a run:
//   recurrence   S_t = (Diag(exp(d_t)) - a_t b_t^T) S_{t-1} + k_t v_t^T      y_t = S_t^T q_t, or with a bonus
//                y_t = S_{t-1}^T q_t + (q_t . (u_t * k_t)) v_t
//   convolution  S: the last T values of each channel, the oldest first;    y_t[c] = sum over j of w[j][c] S_t[j][c]
// The region's body reads y as contraction 0, over the region's axes: pos, the head axes, then v (the channel).
struct Scan {
  enum class Kind : uint8_t { recurrence, convolution };
  Kind kind = Kind::recurrence;
  int state = -1;  // index of GraphRecord::states, whose axes are the head axes, k and v, or tap and channel
  ScanRoles roles;
};

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
//   scan           of steps of that kind, instead of contractions
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
  std::optional<Scan> scan;        // the same
};

enum class StepKind : uint8_t { map, reduce, contract, attention, append, custom, scan };
inline constexpr int kStepKindCount = 7;
std::string_view name(StepKind kind);

// map, reduce, contract, attention, custom, scan: one region; outputs = {result}, or {values, ids} / {ids} with a
// selection, or {result, log_sum_exp, largest, entropy} with statistics. append: one region per field of cache `cache`;
// outputs[i] is that field's value. Row r (coordinate on the cache's pos axis, which leads each region's axes) is
// written to physical slot slots[r]; a slot < 0 is not written.
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

// What a recurrence carries from token to token, of each sequence, in slots of a pool. Row t of a step continues a run:
// the state before it is that in slot from[t], zero where from[t] is kZeroState, and that after row t - 1 where it is
// kSameRun. The state after row t is written to slot to[t], unless that is negative. Runs of one step neither write to
// the same slot, nor to one that another reads. (A slot may be read at the beginning of a run and written at its end.)
struct StateRecord {
  std::string name;
  AxisId pos = kNoAxis;
  ValueId value = kNoValue;                // kind state
  ValueId from = kNoValue, to = kNoValue;  // i32[pos]
};
inline constexpr int32_t kZeroState = -1, kSameRun = -2;

// Extents that must hold besides equality by axis: extent(whole) == extent(outer) * extent(inner), for split and
// merge; extent(whole) == extent(outer) + extent(inner), for concat; extent(whole) == extent(outer) where inner is
// kNoAxis, for rename; extent(whole) == count where outer is kNoAxis, for slice; slice also needs begin + count <=
// extent(outer), which is checked when extents are known.
struct ExtentRule {
  enum class Kind : uint8_t { product, equal, slice, sum } kind = Kind::equal;
  AxisId whole = kNoAxis, outer = kNoAxis, inner = kNoAxis;
  int64_t begin = 0, count = 0;
  std::string what;  // "split<embed, kv_head, head_dim>": for the error
};

struct GraphRecord {
  std::vector<AxisRecord> axes;
  std::vector<ValueRecord> values;
  std::vector<Step> steps;
  std::vector<CacheRecord> caches;
  std::vector<StateRecord> states;
  std::vector<ExtentRule> rules;
  std::vector<ValueId> results;  // values that a run must leave readable
};

// The axes over which an operand varies: its view's, and those of the ids that gather it; no duplicates.
std::vector<AxisId> loop_axes(const Region& region, const Operand& operand);
// The axes of a contraction's result: those of its lhs, then those that its rhs adds; the contracted ones excepted.
std::vector<AxisId> contraction_axes(const Region& region, const Contraction& contraction);
// The element of a region's result before selection.
Element result_element(const Region& region);
// The axes of the heads of a scan: those of its state but for the last two (of a convolution: but for both).
std::vector<AxisId> head_axes(const GraphRecord& graph, const Scan& scan);
// The sources of a scan's roles, in the order of ScanRoles, with their names: {"query", index}.
std::vector<std::pair<std::string_view, int>> roles_of(const Scan& scan);
// The axes of an attention's score but for the key.
std::vector<AxisId> query_axes(const Region& region);
// The cache in which operands of the region lie (all in one); -1: none does.
int cache_of(const GraphRecord& graph, const Region& region);

// Text of a step's records, as `explain --records` and failing tests print it.
std::string to_string(const GraphRecord& graph, const Step& step);

}  // namespace weft

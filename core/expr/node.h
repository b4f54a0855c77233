// Expressions at run time: an immutable tree that `materialize` lowers to one step. The typed surface
// (core/expr/expr.h) checks axes and types; nodes store the result, and refuse operands without a value. A node
// owns its children and its leaves, so an expression may be returned, stored and reused. Threads may share
// expressions.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/axis.h"
#include "core/record/graph.h"

namespace weft {

class Recorder;
struct Node;
using NodePtr = std::shared_ptr<const Node>;
using AxisList = std::vector<const AxisInfo*>;

// How rope rotates pairs; see Rotation. `frequencies` empty: base^(-2i/d) over the whole axis.
struct RopeOptions {
  RopePairs pairs = RopePairs::half_split;
  float base = 10000.0f;
  std::vector<float> frequencies = {};
  float scale = 1.0f;
  // Where a token has several positions: how many pairs each of them turns, in their order. Together all pairs that are
  // turned.
  std::vector<int64_t> sections = {};
};

enum class NodeKind : uint8_t { constant, index, extent, leaf, lookup, scalar, reduce, softmax, contract, rope, scan };

// One storage axis of a leaf, as ViewAxis is for records.
struct NodeViewAxis {
  const AxisInfo* axis = nullptr;  // nullptr where gathered or looked up
  const AxisInfo* stored = nullptr;
  int64_t begin = 0;
  NodePtr ids;  // i32 leaf, where gathered
};

// An extent rule that a view adds (split, merge, slice, rename).
struct NodeRule {
  ExtentRule::Kind kind;
  const AxisInfo* whole;
  const AxisInfo* outer;
  const AxisInfo* inner;
  int64_t begin = 0, count = 0;
  std::string what;
};

struct Node {
  NodeKind kind = NodeKind::constant;
  Element type = Element::f32;
  std::vector<NodePtr> args;
  ScalarOp op = ScalarOp::constant;  // scalar
  float number = 0;                  // constant of type f32
  int32_t integer = 0;               // constant of type i32 or bool
  const AxisInfo* axis = nullptr;    // index, extent, reduce, softmax, rope
  ReduceOp reduce = ReduceOp::sum;
  AxisList over;  // contract: in the right operand's order
  AxisList axes;  // contract: the left operand's axes in their order
  RopeOptions rope;
  // scan: its roles are indices of `args`; their axes, in the order of ScanRoles
  Scan scan;
  std::vector<AxisList> role_axes;
  // leaf
  std::shared_ptr<Recorder> recorder;  // of the state of a scan; a value of a graph ...
  ValueId value = kNoValue;
  std::shared_ptr<const Storage> storage;  // ... or the storage of a tensor or weight,
  AxisList stored_axes;                    // with the axes that it was declared with
  std::vector<NodeViewAxis> view;
  std::vector<NodeRule> rules;
};

NodePtr constant_node(float value);
NodePtr constant_node(int32_t value, Element type);
NodePtr index_node(const AxisInfo* axis);
NodePtr extent_node(const AxisInfo* axis);
NodePtr scalar_node(ScalarOp op, Element type, std::vector<NodePtr> args);
NodePtr reduce_node(ReduceOp op, const AxisInfo* axis, NodePtr x);
NodePtr softmax_node(const AxisInfo* axis, NodePtr x, NodePtr sink = nullptr);
NodePtr contract_node(AxisList over, AxisList left_axes, NodePtr left, NodePtr right);
NodePtr scan_node(std::shared_ptr<Recorder> recorder, Scan scan, std::vector<NodePtr> args,
                  std::vector<AxisList> role_axes);
// Throws Error where there are not as many sections as positions, unless there is one position and no section.
NodePtr rope_node(const AxisInfo* axis, NodePtr x, std::vector<NodePtr> positions, RopeOptions options);

// Leaves. `axes` in memory order. Throw Error for a handle without a value, naming its axes.
NodePtr value_node(std::shared_ptr<Recorder> recorder, ValueId value, Element type, const AxisList& axes);
NodePtr paged_node(std::shared_ptr<Recorder> recorder, ValueId value, Element type, const AxisList& axes);
NodePtr storage_node(std::shared_ptr<const Storage> storage, Element type, const AxisList& axes);

// The errors that those throw.
[[noreturn]] void refuse_unmade_value(const AxisList& axes);
[[noreturn]] void refuse_unmade_tensor(const AxisList& axes);

// Views of a leaf. Throw Error where the view cannot be expressed without a copy (a split of a slice, say).
NodePtr renamed(const NodePtr& leaf, const AxisInfo* from, const AxisInfo* to);
NodePtr split_view(const NodePtr& leaf, const AxisInfo* whole, const AxisInfo* outer, const AxisInfo* inner);
NodePtr merged_view(const NodePtr& leaf, const AxisInfo* outer, const AxisInfo* inner, const AxisInfo* whole);
NodePtr sliced_view(const NodePtr& leaf, const AxisInfo* from, const AxisInfo* to, int64_t begin, int64_t count);
NodePtr gathered_view(const NodePtr& leaf, const AxisInfo* axis, NodePtr ids);
// The element of a leaf at a computed coordinate on `axis`; 0 where that is outside of it.
NodePtr lookup_node(const NodePtr& leaf, const AxisInfo* axis, NodePtr at);
// Two leaves one after the other, along axes that both are parts of `whole`.
NodePtr concat_node(const NodePtr& first, const AxisInfo* first_axis, const NodePtr& second,
                    const AxisInfo* second_axis, const AxisInfo* whole);

// rms_norm: x / sqrt(mean(x^2) + eps) * weight (Zhang & Sennrich 2019, arXiv:1910.07467).
NodePtr rms_norm_node(const AxisInfo* axis, const NodePtr& x, const NodePtr& weight, float eps);
// layer_norm: (x - mean) / sqrt(variance + eps) * weight + bias, the variance being that of the population
// (Ba et al. 2016, arXiv:1607.06450). weight and bias may be null.
NodePtr layer_norm_node(const AxisInfo* axis, const NodePtr& x, const NodePtr& weight, const NodePtr& bias, float eps);
// l2_norm: x / sqrt(sum(x^2) + eps).
NodePtr l2_norm_node(const AxisInfo* axis, const NodePtr& x, float eps);
// softmax as the reductions that it is made of: exp(x - max) / sum, with a sink as KeyAttention says. A row that is all
// -inf gives 0.
NodePtr expand_softmax(const Node& softmax);

}  // namespace weft

#include "core/expr/node.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/error.h"

namespace weft {
namespace {

std::string quoted(const AxisInfo* axis) { return "'" + std::string(axis->name) + "'"; }

// Position of `axis` in the leaf's view. The typed surface has checked that it is there and not gathered.
size_t find_axis(const Node& leaf, const AxisInfo* axis) {
  for (size_t i = 0; i < leaf.view.size(); ++i) {
    if (leaf.view[i].axis == axis) return i;
  }
  throw Error("axis " + quoted(axis) + " is not among the axes of this view");
}

void refuse_sliced(const NodeViewAxis& axis, const char* what) {
  if (axis.axis == axis.stored) return;
  throw Error(std::string(what) + ": axis " + quoted(axis.axis) + " is a slice of " + quoted(axis.stored) +
              "; put materialize around the slice");
}

// "value over <pos, embed>"
std::string over(const char* what, const AxisList& axes) {
  std::string text = std::string(what) + " over <";
  for (size_t i = 0; i < axes.size(); ++i) text += (i == 0 ? "" : ", ") + std::string(axes[i]->name);
  return text + ">";
}

[[noreturn]] void refuse_unmade_expression() {
  throw Error("an expression has no value: it was default-constructed or moved from");
}

// A copy of a view's leaf, to be modified.
std::shared_ptr<Node> copy_of(const NodePtr& leaf) {
  if (leaf == nullptr) refuse_unmade_expression();
  return std::make_shared<Node>(*leaf);
}

std::shared_ptr<Node> make(NodeKind kind, Element type, std::vector<NodePtr> args) {
  for (const NodePtr& arg : args) {
    if (arg == nullptr) refuse_unmade_expression();
  }
  auto node = std::make_shared<Node>();
  node->kind = kind;
  node->type = type;
  node->args = std::move(args);
  return node;
}

NodePtr f32(ScalarOp op, std::vector<NodePtr> args) { return scalar_node(op, Element::f32, std::move(args)); }

}  // namespace

NodePtr constant_node(float value) {
  auto node = make(NodeKind::constant, Element::f32, {});
  node->number = value;
  return node;
}

NodePtr constant_node(int32_t value, Element type) {
  auto node = make(NodeKind::constant, type, {});
  node->integer = value;
  return node;
}

NodePtr index_node(const AxisInfo* axis) {
  auto node = make(NodeKind::index, Element::i32, {});
  node->axis = axis;
  return node;
}

NodePtr extent_node(const AxisInfo* axis) {
  auto node = make(NodeKind::extent, Element::i32, {});
  node->axis = axis;
  return node;
}

NodePtr scalar_node(ScalarOp op, Element type, std::vector<NodePtr> args) {
  auto node = make(NodeKind::scalar, type, std::move(args));
  node->op = op;
  return node;
}

NodePtr reduce_node(ReduceOp op, const AxisInfo* axis, NodePtr x) {
  auto node = make(NodeKind::reduce, op == ReduceOp::argmax ? Element::i32 : Element::f32, {std::move(x)});
  node->reduce = op;
  node->axis = axis;
  return node;
}

NodePtr softmax_node(const AxisInfo* axis, NodePtr x, NodePtr sink) {
  std::vector<NodePtr> args = {std::move(x)};
  if (sink) args.push_back(std::move(sink));
  auto node = make(NodeKind::softmax, Element::f32, std::move(args));
  node->axis = axis;
  return node;
}

NodePtr contract_node(AxisList over, AxisList left_axes, NodePtr left, NodePtr right) {
  auto node = make(NodeKind::contract, Element::f32, {std::move(left), std::move(right)});
  node->over = std::move(over);
  node->axes = std::move(left_axes);
  return node;
}

NodePtr rope_node(const AxisInfo* axis, NodePtr x, std::vector<NodePtr> positions, RopeOptions options) {
  const size_t sections = options.sections.size();
  if (sections != positions.size() && !(sections == 0 && positions.size() == 1)) {
    throw Error("rope along axis " + quoted(axis) + ": " + std::to_string(positions.size()) + " positions and " +
                std::to_string(sections) + " sections; `sections` says how many pairs each position turns");
  }
  for (const int64_t pairs : options.sections) {
    if (pairs < 0)
      throw Error("rope along axis " + quoted(axis) + ": a section of " + std::to_string(pairs) + " pairs");
  }
  positions.insert(positions.begin(), std::move(x));
  auto node = make(NodeKind::rope, Element::f32, std::move(positions));
  node->axis = axis;
  node->rope = std::move(options);
  return node;
}

NodePtr scan_node(std::shared_ptr<Recorder> recorder, Scan scan, std::vector<NodePtr> args,
                  std::vector<AxisList> role_axes) {
  auto node = make(NodeKind::scan, Element::f32, std::move(args));
  node->recorder = std::move(recorder);
  node->scan = scan;
  node->role_axes = std::move(role_axes);
  return node;
}

void refuse_unmade_value(const AxisList& axes) {
  throw Error(over("a value", axes) +
              " has no value: it was default-constructed or moved from. Graph::input, Graph::positions and "
              "materialize give values");
}

void refuse_unmade_tensor(const AxisList& axes) {
  throw Error(over("a tensor or weight", axes) +
              " has no value: it was default-constructed, moved from, or never loaded");
}

NodePtr paged_node(std::shared_ptr<Recorder> recorder, ValueId value, Element type, const AxisList& axes) {
  if (recorder == nullptr || value == kNoValue) {
    throw Error(over("a cached field", axes) +
                " has no value: it was default-constructed or moved from. "
                "materialize(append(cache, ...)) gives the fields of a cache");
  }
  return value_node(std::move(recorder), value, type, axes);
}

NodePtr value_node(std::shared_ptr<Recorder> recorder, ValueId value, Element type, const AxisList& axes) {
  if (recorder == nullptr || value == kNoValue) refuse_unmade_value(axes);
  auto node = make(NodeKind::leaf, type, {});
  node->recorder = std::move(recorder);
  node->value = value;
  for (const AxisInfo* axis : axes) node->view.push_back({axis, axis, 0, nullptr});
  return node;
}

NodePtr storage_node(std::shared_ptr<const Storage> storage, Element type, const AxisList& axes) {
  if (storage == nullptr) refuse_unmade_tensor(axes);
  auto node = make(NodeKind::leaf, type, {});
  node->storage = std::move(storage);
  node->stored_axes = axes;
  for (const AxisInfo* axis : axes) node->view.push_back({axis, axis, 0, nullptr});
  return node;
}

NodePtr renamed(const NodePtr& leaf, const AxisInfo* from, const AxisInfo* to) {
  auto node = copy_of(leaf);
  NodeViewAxis& axis = node->view[find_axis(*leaf, from)];
  if (axis.stored == from) axis.stored = to;
  axis.axis = to;
  node->rules.push_back({ExtentRule::Kind::equal, to, from, nullptr, 0, 0,
                         "rename<" + std::string(from->name) + ", " + std::string(to->name) + ">"});
  return node;
}

NodePtr split_view(const NodePtr& leaf, const AxisInfo* whole, const AxisInfo* outer, const AxisInfo* inner) {
  auto node = copy_of(leaf);
  const size_t at = find_axis(*leaf, whole);
  refuse_sliced(leaf->view[at], "split");
  node->view[at] = {outer, outer, 0, nullptr};
  node->view.insert(node->view.begin() + static_cast<std::ptrdiff_t>(at) + 1, {inner, inner, 0, nullptr});
  node->rules.push_back(
      {ExtentRule::Kind::product, whole, outer, inner, 0, 0,
       "split<" + std::string(whole->name) + ", " + std::string(outer->name) + ", " + std::string(inner->name) + ">"});
  return node;
}

NodePtr merged_view(const NodePtr& leaf, const AxisInfo* outer, const AxisInfo* inner, const AxisInfo* whole) {
  auto node = copy_of(leaf);
  const size_t at = find_axis(*leaf, outer);
  refuse_sliced(leaf->view[at], "merge");
  refuse_sliced(leaf->view[find_axis(*leaf, inner)], "merge");
  node->view[at] = {whole, whole, 0, nullptr};
  node->view.erase(node->view.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  node->rules.push_back(
      {ExtentRule::Kind::product, whole, outer, inner, 0, 0,
       "merge<" + std::string(outer->name) + ", " + std::string(inner->name) + ", " + std::string(whole->name) + ">"});
  return node;
}

NodePtr sliced_view(const NodePtr& leaf, const AxisInfo* from, const AxisInfo* to, int64_t begin, int64_t count) {
  if (begin < 0 || count < 0) {
    throw Error("slice of axis " + quoted(from) + ": begin " + std::to_string(begin) + " and count " +
                std::to_string(count) + " must not be negative");
  }
  auto node = copy_of(leaf);
  NodeViewAxis& axis = node->view[find_axis(*leaf, from)];
  axis.begin += begin;
  axis.axis = to;
  node->rules.push_back({ExtentRule::Kind::slice, to, from, nullptr, begin, count,
                         "slice<" + std::string(from->name) + ", " + std::string(to->name) + ">"});
  return node;
}

NodePtr gathered_view(const NodePtr& leaf, const AxisInfo* axis, NodePtr ids) {
  if (ids == nullptr) refuse_unmade_expression();
  auto node = copy_of(leaf);
  NodeViewAxis& gathered = node->view[find_axis(*leaf, axis)];
  refuse_sliced(gathered, "at");
  gathered.axis = nullptr;
  gathered.ids = std::move(ids);
  return node;
}

NodePtr lookup_node(const NodePtr& leaf, const AxisInfo* axis, NodePtr at) {
  auto table = copy_of(leaf);
  NodeViewAxis& looked_up = table->view[find_axis(*leaf, axis)];
  refuse_sliced(looked_up, "at");
  looked_up.axis = nullptr;
  const Element type = table->type;
  return make(NodeKind::lookup, type, {std::move(at), std::move(table)});
}

NodePtr concat_node(const NodePtr& first, const AxisInfo* first_axis, const NodePtr& second,
                    const AxisInfo* second_axis, const AxisInfo* whole) {
  const NodePtr at = index_node(whole), count = extent_node(first_axis);
  auto tail =
      std::make_shared<Node>(*lookup_node(second, second_axis, scalar_node(ScalarOp::sub, Element::i32, {at, count})));
  auto table = copy_of(tail->args[1]);
  table->rules.push_back({ExtentRule::Kind::sum, whole, first_axis, second_axis, 0, 0,
                          "concat<" + std::string(first_axis->name) + ", " + std::string(second_axis->name) + ", " +
                              std::string(whole->name) + ">"});
  const Element type = tail->type;
  tail->args[1] = std::move(table);
  return scalar_node(
      ScalarOp::select, type,
      {scalar_node(ScalarOp::lt, Element::bool8, {at, count}), lookup_node(first, first_axis, at), std::move(tail)});
}

NodePtr rms_norm_node(const AxisInfo* axis, const NodePtr& x, const NodePtr& weight, float eps) {
  const NodePtr square = reduce_node(ReduceOp::mean, axis, f32(ScalarOp::mul, {x, x}));
  const NodePtr scale = f32(ScalarOp::rsqrt, {f32(ScalarOp::add, {square, constant_node(eps)})});
  const NodePtr normal = f32(ScalarOp::mul, {x, scale});
  return weight ? f32(ScalarOp::mul, {normal, weight}) : normal;
}

NodePtr l2_norm_node(const AxisInfo* axis, const NodePtr& x, float eps) {
  const NodePtr square = reduce_node(ReduceOp::sum, axis, f32(ScalarOp::mul, {x, x}));
  return f32(ScalarOp::mul, {x, f32(ScalarOp::rsqrt, {f32(ScalarOp::add, {square, constant_node(eps)})})});
}

NodePtr layer_norm_node(const AxisInfo* axis, const NodePtr& x, const NodePtr& weight, const NodePtr& bias, float eps) {
  const NodePtr centered = f32(ScalarOp::sub, {x, reduce_node(ReduceOp::mean, axis, x)});
  const NodePtr variance = reduce_node(ReduceOp::mean, axis, f32(ScalarOp::mul, {centered, centered}));
  const NodePtr scale = f32(ScalarOp::rsqrt, {f32(ScalarOp::add, {variance, constant_node(eps)})});
  NodePtr result = f32(ScalarOp::mul, {centered, scale});
  if (weight) result = f32(ScalarOp::mul, {result, weight});
  if (bias) result = f32(ScalarOp::add, {result, bias});
  return result;
}

NodePtr expand_softmax(const Node& softmax) {
  const NodePtr& x = softmax.args[0];
  const NodePtr sink = softmax.args.size() > 1 ? softmax.args[1] : nullptr;
  NodePtr largest = reduce_node(ReduceOp::max, softmax.axis, x);
  if (sink) largest = f32(ScalarOp::max, {sink, largest});  // the second wins against a NaN
  const NodePtr none = constant_node(-std::numeric_limits<float>::infinity());
  const NodePtr zero = constant_node(0.0f);
  // Where nothing is visible, the shift is 0 and every term is exp(-inf) = 0, so the row is 0 too.
  const NodePtr shift =
      f32(ScalarOp::select, {scalar_node(ScalarOp::eq, Element::bool8, {largest, none}), zero, largest});
  const NodePtr terms = f32(ScalarOp::exp, {f32(ScalarOp::sub, {x, shift})});
  const NodePtr sum = reduce_node(ReduceOp::sum, softmax.axis, terms);
  NodePtr all = sum;
  if (sink) all = f32(ScalarOp::add, {sum, f32(ScalarOp::exp, {f32(ScalarOp::sub, {sink, shift})})});
  return f32(ScalarOp::select,
             {scalar_node(ScalarOp::eq, Element::bool8, {sum, zero}), zero, f32(ScalarOp::div, {terms, all})});
}

}  // namespace weft

// Lowers an expression tree to a step record. One pass over the tree: what stands above a rope becomes the post
// program, what is below it the body; reductions, contractions and leaves are collected into the region on the
// way.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/error.h"
#include "core/expr/axis_scope.h"
#include "core/expr/recorder.h"

namespace weft {
namespace {

// The first node at or below `node` that satisfies `wanted`; `enter(node)`: whether to look at its operands.
// Operands that several nodes share are visited once.
template <class Wanted, class Enter>
const Node* find_node(const Node& node, const Wanted& wanted, const Enter& enter,
                      std::unordered_set<const Node*>& visited) {
  if (!visited.insert(&node).second) return nullptr;
  if (wanted(node)) return &node;
  if (!enter(node)) return nullptr;
  for (const NodePtr& arg : node.args) {
    if (const Node* found = find_node(*arg, wanted, enter, visited)) return found;
  }
  for (const NodeViewAxis& axis : node.view) {
    if (!axis.ids) continue;
    if (const Node* found = find_node(*axis.ids, wanted, enter, visited)) return found;
  }
  return nullptr;
}

template <class Wanted>
const Node* find_node(const Node& node, const Wanted& wanted) {
  std::unordered_set<const Node*> visited;
  return find_node(node, wanted, [](const Node&) { return true; }, visited);
}

// The rope of an expression. The typed surface has made sure that it is the only one, and outside of contractions.
const Node* find_rope(const Node& node) {
  std::unordered_set<const Node*> visited;
  return find_node(
      node, [](const Node& n) { return n.kind == NodeKind::rope; },
      [](const Node& n) { return n.kind != NodeKind::contract; }, visited);
}

bool is_cached(const Node& node) {
  return node.kind == NodeKind::leaf && node.recorder && node.recorder->record()->values[node.value].cache >= 0;
}

// Attention, contract<K>(softmax<K>(score), v): where the score contracts something, or is over a cache's keys.
// Any other softmax is the prologue of a contraction.
bool is_attention(const Node& top) {
  if (top.kind != NodeKind::contract || top.args[0]->kind != NodeKind::softmax) return false;
  if (is_cached(*top.args[1])) return true;
  return find_node(*top.args[0], [](const Node& n) { return n.kind == NodeKind::contract || is_cached(n); }) != nullptr;
}

template <class T>
int index_of(std::vector<T>& list, T item) {
  const auto found = std::find(list.begin(), list.end(), item);
  if (found != list.end()) return static_cast<int>(found - list.begin());
  list.push_back(std::move(item));
  return static_cast<int>(list.size()) - 1;
}

class RegionBuilder {
 public:
  RegionBuilder(Recorder& recorder, const RegionRequest& request)
      : recorder_(recorder), scope_(recorder, request.expression) {
    region_.axes = scope_.axes(request.axes);
    const Node* top = request.expression.get();
    if (is_attention(*top)) {
      build_attention(*top);
    } else if (const Node* rope = find_rope(*top)) {
      build_source(region_.body, rope->args[0], region_.axes);
      build_rotation(*rope);
      if (top != rope) {
        EmitContext context{nullptr, rope, {}};
        add(region_.post, context, request.expression);
      }
    } else {
      build_source(region_.body, request.expression, region_.axes);
    }
  }

  Region take() { return std::move(region_); }
  const AxisScope& scope() const { return scope_; }

  void set_op(const StepRequest& request) {
    CustomOp op{request.op, scope_.axis(request.along), {}, request.constants};
    for (const NodePtr& node : request.operands) {
      if (node->kind != NodeKind::leaf)
        throw Error("op '" + op.name + "' reads stored values: materialize its operands");
      if (scale_of(*node)) throw Error("op '" + op.name + "' reads no values with scales beside them");
      op.operands.push_back(operand(*node));
    }
    region_.custom = std::move(op);
  }

 private:
  // Where an instruction is added: the source that owns its reductions, the rope that has been computed already,
  // and the nodes that have been added.
  struct EmitContext {
    Source* source;
    const Node* rotated;
    std::unordered_map<const Node*, uint16_t> known;
  };

  void build_source(Source& source, const NodePtr& node, std::vector<AxisId> axes) {
    source.axes = std::move(axes);
    EmitContext context{&source, nullptr, {}};
    reductions_.clear();
    add(source.program, context, node);
  }

  void build_rotation(const Node& rope) {
    Rotation rotation;
    rotation.axis = scope_.axis(rope.axis);
    rotation.pairs = rope.rope.pairs;
    rotation.position = operand(*rope.args[1]);
    int64_t first = 0;
    for (size_t i = 2; i < rope.args.size(); ++i) {
      first += rope.rope.sections[i - 2];
      rotation.sections.push_back({first, operand(*rope.args[i])});
    }
    if (!rope.rope.frequencies.empty()) {
      rotation.frequencies = std::make_shared<const std::vector<float>>(rope.rope.frequencies);
    }
    rotation.base = rope.rope.base;
    rotation.scale = rope.rope.scale;
    region_.rotation = std::move(rotation);
  }

  void build_attention(const Node& top) {
    const Node& softmax = *top.args[0];
    const AxisId key = scope_.axis(softmax.axis);
    std::vector<AxisId> score_axes;
    for (const AxisInfo* axis : top.axes) {
      if (axis != softmax.axis) score_axes.push_back(scope_.axis(axis));
    }
    score_axes.push_back(key);
    build_source(region_.body, softmax.args[0], std::move(score_axes));
    if (scale_of(*top.args[1])) throw Error("attention reads no values with scales beside them");
    region_.attention = KeyAttention{key, operand(*top.args[1])};
    if (softmax.args.size() == 1) return;
    EmitContext context{nullptr, nullptr, {}};
    add(region_.attention->sink, context, softmax.args[1]);
  }

  // What the elements of a leaf are to be multiplied by, as a leaf; null: nothing.
  NodePtr scale_of(const Node& leaf) {
    if (leaf.kind != NodeKind::leaf || leaf.storage == nullptr || leaf.storage->scale == nullptr) return nullptr;
    NodePtr& known = scales_[&leaf];
    if (known) return known;
    const std::shared_ptr<const Storage>& scale = leaf.storage->scale;
    if (scale->extents.empty()) return known = storage_node(scale, Element::f32, {});
    // It looks at the first axis as the leaf does.
    const AxisInfo* first = leaf.stored_axes[0];
    for (const NodeRule& rule : leaf.rules) {
      if (rule.kind == ExtentRule::Kind::equal && rule.outer == first) first = rule.whole;
      if (rule.kind == ExtentRule::Kind::product && (rule.whole == first || rule.outer == first)) {
        throw Error("weight '" + leaf.storage->name + "' has scales along axis '" + std::string(first->name) +
                    "', which is neither split nor merged with others");
      }
    }
    auto node = std::make_shared<Node>(*storage_node(scale, Element::f32, {leaf.stored_axes[0]}));
    node->view = {leaf.view[0]};
    return known = node;
  }

  uint16_t scaled(ScalarProgram& program, EmitContext& context, uint16_t value, const NodePtr& scale) {
    ScalarInstr product{};
    product.op = ScalarOp::mul;
    product.type = Element::f32;
    product.a = value;
    product.b = add(program, context, scale);
    return program.add(product);
  }

  int operand(const Node& leaf) {
    Operand result;
    result.value = leaf.storage ? recorder_.value_of(leaf.storage, leaf.stored_axes) : leaf.value;
    if (!leaf.storage && leaf.recorder.get() != &recorder_) {
      throw Error("value '" + leaf.recorder->record()->values[leaf.value].name + "' belongs to another graph");
    }
    for (const NodeViewAxis& axis : leaf.view) {
      ViewAxis entry;
      entry.stored = scope_.stored(leaf, axis.stored);
      entry.begin = axis.begin;
      if (axis.ids) {
        entry.gather = operand(*axis.ids);
      } else if (axis.axis != nullptr) {
        entry.axis = scope_.stored(leaf, axis.axis);
      }
      result.view.push_back(entry);
    }
    for (const NodeRule& rule : leaf.rules) recorder_.add_rule(scope_.rule(leaf, rule));
    return index_of(region_.operands, std::move(result));
  }

  int reduction(EmitContext& context, const Node& node) {
    Source& source = *context.source;
    const AxisId axis = scope_.axis(node.axis);
    if (source.reduced != kNoAxis && source.reduced != axis) {
      throw Error("one step reduces along one axis only; put materialize around the inner reduction");
    }
    source.reduced = axis;
    Reduction result;
    result.op = node.reduce;
    EmitContext inner{context.source, nullptr, {}};
    add(result.program, inner, node.args[0]);
    return index_of(source.reductions, std::move(result));
  }

  static bool varies_over(const Node& leaf, const AxisList& axes) {
    return std::any_of(leaf.view.begin(), leaf.view.end(), [&](const NodeViewAxis& axis) {
      if (axis.ids) return varies_over(*axis.ids, axes);
      return std::find(axes.begin(), axes.end(), axis.axis) != axes.end();
    });
  }

  int contraction(const Node& node) {
    Contraction result;
    Source lhs;
    lhs.axes = scope_.axes(node.axes);
    EmitContext context{&lhs, nullptr, {}};
    auto outer_reductions = std::exchange(reductions_, {});
    const uint16_t left = add(lhs.program, context, node.args[0]);
    if (const NodePtr scale = scale_of(*node.args[1]); scale && varies_over(*scale, node.over)) {
      scaled(lhs.program, context, left, scale);
    }
    reductions_ = std::move(outer_reductions);
    result.lhs = index_of(region_.lhs, std::move(lhs));
    result.rhs = operand(*node.args[1]);
    result.over = scope_.axes(node.over);
    return index_of(region_.contractions, std::move(result));
  }

  void build_scan(const Node& node) {
    if (node.recorder.get() != &recorder_) {
      throw Error("state '" + node.recorder->record()->states[static_cast<size_t>(node.scan.state)].name +
                  "' belongs to another graph");
    }
    auto outer_reductions = std::exchange(reductions_, {});
    for (size_t i = 0; i < node.args.size(); ++i) {
      build_source(region_.lhs.emplace_back(), node.args[i], scope_.axes(node.role_axes[i]));
    }
    reductions_ = std::move(outer_reductions);
    region_.scan = node.scan;
    // The state has the instances of its axes that the operands have.
    GraphRecord& graph = *recorder_.record();
    for (AxisId& axis : graph.values[graph.states[static_cast<size_t>(node.scan.state)].value].axes) {
      axis = scope_.axis(static_cast<const AxisInfo*>(graph.axes[axis].identity));
    }
  }

  uint16_t add(ScalarProgram& program, EmitContext& context, const NodePtr& node) {
    const auto known = context.known.find(node.get());
    if (known != context.known.end()) return known->second;
    const uint16_t result = add_new(program, context, *node);
    context.known.emplace(node.get(), result);
    if (program.code.size() > 60000)
      throw Error("an expression is too large for one step; put materialize around parts of it");
    return result;
  }

  uint16_t add_new(ScalarProgram& program, EmitContext& context, const Node& node) {
    ScalarInstr instr{};
    instr.type = node.type;
    switch (node.kind) {
      case NodeKind::constant:
        instr.op = ScalarOp::constant;
        instr.imm = node.integer;
        instr.imm_f = node.number;
        break;
      case NodeKind::index:
        instr.op = ScalarOp::index;
        instr.imm = scope_.axis(node.axis);
        break;
      case NodeKind::extent:
        instr.op = ScalarOp::extent;
        instr.imm = scope_.axis(node.axis);
        break;
      case NodeKind::lookup:
        if (scale_of(*node.args[1])) throw Error("at by computed ids reads no values with scales beside them");
        instr.op = ScalarOp::lookup;
        instr.a = add(program, context, node.args[0]);
        instr.imm = operand(*node.args[1]);
        break;
      case NodeKind::leaf:
        instr.op = ScalarOp::load;
        instr.imm = operand(node);
        if (const NodePtr scale = scale_of(node)) return scaled(program, context, program.add(instr), scale);
        break;
      case NodeKind::reduce: {
        if (!context.source) throw Error("a reduction above a rope needs a separate step; put materialize around it");
        const auto known = reductions_.find(&node);
        instr.op = ScalarOp::reduction;
        instr.imm = known != reductions_.end() ? known->second : reduction(context, node);
        reductions_.emplace(&node, instr.imm);
        break;
      }
      case NodeKind::contract:
        instr.op = ScalarOp::contraction;
        instr.imm = contraction(node);
        // The sum is multiplied, unless its terms have different scales.
        if (const NodePtr scale = scale_of(*node.args[1]); scale && !varies_over(*scale, node.over)) {
          return scaled(program, context, program.add(instr), scale);
        }
        break;
      case NodeKind::softmax: {
        // Expanded once per node, so that its reductions are recorded once.
        NodePtr& expanded = expanded_[&node];
        if (!expanded) expanded = expand_softmax(node);
        return add(program, context, expanded);
      }
      case NodeKind::scan:
        if (region_.scan) throw Error("a step has one scan; put materialize around one of the two");
        build_scan(node);
        instr.op = ScalarOp::contraction;
        break;
      case NodeKind::rope:
        instr.op = ScalarOp::rotated;
        if (&node != context.rotated) {
          throw Error("a step can rotate only once; put materialize around one of the ropes");
        }
        break;
      case NodeKind::scalar: {
        instr.op = node.op;
        uint16_t* const slots[] = {&instr.a, &instr.b, &instr.c};
        for (size_t i = 0; i < node.args.size(); ++i) *slots[i] = add(program, context, node.args[i]);
        break;
      }
    }
    return program.add(instr);
  }

  Recorder& recorder_;
  AxisScope scope_;
  Region region_;
  std::unordered_map<const Node*, int> reductions_;
  std::unordered_map<const Node*, NodePtr> expanded_;
  std::unordered_map<const Node*, NodePtr> scales_;
};

StepKind kind_of(const Region& region) {
  if (region.custom) return StepKind::custom;
  if (region.scan) return StepKind::scan;
  if (region.attention) return StepKind::attention;
  if (!region.contractions.empty()) return StepKind::contract;
  if (region.body.reduced != kNoAxis || region.rotation || region.selection) return StepKind::reduce;
  return StepKind::map;
}

}  // namespace

std::shared_ptr<Recorder> find_recorder(const NodePtr& node) {
  if (node == nullptr) {
    throw Error("materialize: the expression has no value: it was default-constructed or moved from");
  }
  const Node* leaf = find_node(*node, [](const Node& n) { return n.recorder != nullptr; });
  return leaf != nullptr ? leaf->recorder : nullptr;
}

std::vector<ValueId> record_step(const StepRequest& request, std::shared_ptr<Recorder> recorder) {
  for (const RegionRequest& region : request.regions) {
    auto found = find_recorder(region.expression);
    if (!recorder) recorder = std::move(found);
  }
  if (!recorder) throw Error("materialize: the expression reads no value of a graph; use eval to compute it");
  GraphRecord& graph = *recorder->record();

  Step step;
  for (const RegionRequest& region : request.regions) {
    RegionBuilder builder(*recorder, region);
    if (request.along != nullptr) builder.set_op(request);
    step.regions.push_back(builder.take());
  }
  step.cache = request.cache;
  step.name = request.name.empty() ? "s" + std::to_string(graph.steps.size()) : request.name;

  if (request.cache >= 0) {
    step.kind = StepKind::append;
    step.outputs = graph.caches[static_cast<size_t>(request.cache)].fields;
    for (size_t i = 0; i < step.outputs.size(); ++i) {  // a field has the instances of its axes that its rows have
      std::vector<AxisId>& axes = graph.values[step.outputs[i]].axes;
      std::copy(step.regions[i].axes.begin() + 1, step.regions[i].axes.end(), axes.begin() + 1);
    }
  } else {
    Region& region = step.regions[0];
    std::vector<AxisId> axes = region.axes;
    Format format = plain_format(result_element(region));
    if (request.select) {
      Selection selection;
      const auto selected = [&](AxisId axis) { return graph.axes[axis].identity == request.select; };
      selection.axis = *std::find_if(axes.begin(), axes.end(), selected);
      selection.choice = request.choice ? recorder->axis_of_extent(request.choice, request.choices) : kNoAxis;
      selection.values = request.choice != nullptr;
      region.selection = selection;
      const auto at = std::find(axes.begin(), axes.end(), selection.axis);
      if (request.choice) {
        *at = selection.choice;
        recorder->add_rule(
            {ExtentRule::Kind::slice, selection.choice, selection.axis, kNoAxis, 0, request.choices,
             "top_k<" + std::string(request.select->name) + ", " + std::string(request.choice->name) + ">"});
      } else {
        axes.erase(at);
        format = Format::i32;
      }
    }
    if (request.statistics) region.attention->statistics = true;
    step.kind = kind_of(region);
    ValueRecord value;
    value.name = step.name;
    value.format = format;
    value.axes = axes;
    step.outputs.push_back(recorder->add_value(value));
    if (request.choice) {
      value.name += ".ids";
      value.format = Format::i32;
      step.outputs.push_back(recorder->add_value(value));
    }
    if (request.statistics) {
      value.axes = query_axes(region);
      for (const std::string_view statistic : kStatistics) {
        value.name = step.name + "." + std::string(statistic);
        step.outputs.push_back(recorder->add_value(value));
      }
    }
  }
  std::vector<ValueId> outputs = step.outputs;
  graph.steps.push_back(std::move(step));
  return outputs;
}

}  // namespace weft

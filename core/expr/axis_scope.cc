#include "core/expr/axis_scope.h"

#include <algorithm>

#include "core/error.h"

namespace weft {
namespace {

std::string name_of(const Node& leaf, const std::vector<const Node*>& leaves) {
  if (leaf.storage && leaf.storage->name.empty()) {  // as records call it: by its place
    return "weight 'tensor " + std::to_string(std::find(leaves.begin(), leaves.end(), &leaf) - leaves.begin()) + "'";
  }
  if (leaf.storage) return "weight '" + leaf.storage->name + "'";
  return "value '" + leaf.recorder->record()->values[leaf.value].name + "'";
}

bool is_visible(const Node& leaf, const AxisInfo* info) {
  return std::any_of(leaf.view.begin(), leaf.view.end(),
                     [info](const NodeViewAxis& axis) { return axis.axis == info; });
}

}  // namespace

AxisScope::AxisScope(Recorder& recorder, const NodePtr& expression) : recorder_(recorder) {
  if (expression == nullptr) return;  // refused elsewhere
  collect(*expression);
  for (const Node* leaf : leaves_) {
    const Map& own = of_leaf_.emplace(leaf, own_axes(*leaf)).first->second;
    for (const auto& [info, axis] : own) {
      if (is_visible(*leaf, info)) bind(info, axis, *leaf);
    }
  }
  for (const Node* leaf : leaves_) derive(*leaf);
}

void AxisScope::collect(const Node& node) {
  if (!visited_.insert(&node).second) return;
  if (node.kind == NodeKind::leaf) leaves_.push_back(&node);
  for (const NodePtr& arg : node.args) collect(*arg);
  for (const NodeViewAxis& axis : node.view) {
    if (axis.ids) collect(*axis.ids);
  }
}

// The axes that the leaf was declared with.
AxisScope::Map AxisScope::own_axes(const Node& leaf) const {
  Map own;
  if (leaf.storage) {
    for (size_t i = 0; i < leaf.stored_axes.size(); ++i) {
      own.emplace(leaf.stored_axes[i], recorder_.axis_of_extent(leaf.stored_axes[i], leaf.storage->extents[i]));
    }
    return own;
  }
  if (leaf.recorder.get() != &recorder_) return own;  // refused where it is read
  const GraphRecord& graph = *recorder_.record();
  for (const AxisId axis : graph.values[leaf.value].axes) {
    own.emplace(static_cast<const AxisInfo*>(graph.axes[axis].identity), axis);
  }
  return own;
}

void AxisScope::bind(const AxisInfo* info, AxisId axis, const Node& leaf) {
  const auto [entry, added] = bound_.emplace(info, axis);
  if (added) binder_.emplace(info, &leaf);
  if (entry->second == axis) return;
  throw Error("axis '" + std::string(info->name) + "' is " + recorder_.describe(entry->second) + " in " +
              name_of(*binder_.at(info), leaves_) + " but " + recorder_.describe(axis) + " in " +
              name_of(leaf, leaves_));
}

// Axes that only views have: they follow the one that they were made of.
void AxisScope::derive(const Node& leaf) {
  Map& own = of_leaf_.at(&leaf);
  const auto add = [&](const AxisInfo* info, AxisId axis) {
    if (own.contains(info)) return;
    const auto bound = bound_.find(info);
    own.emplace(info, bound != bound_.end() ? bound->second : axis);
    if (is_visible(leaf, info)) bind(info, own.at(info), leaf);
  };
  const auto instance = [&](const AxisInfo* of) { return recorder_.record()->axes[stored(leaf, of)].instance; };
  for (const NodeRule& rule : leaf.rules) {
    switch (rule.kind) {
      case ExtentRule::Kind::equal: add(rule.whole, recorder_.axis(rule.whole, instance(rule.outer))); break;
      case ExtentRule::Kind::slice: add(rule.whole, recorder_.axis_of_extent(rule.whole, rule.count)); break;
      case ExtentRule::Kind::sum: break;  // of a concat, which is no view: its whole is an axis of the expression
      case ExtentRule::Kind::product:
        if (own.contains(rule.whole)) {  // a split
          add(rule.outer, recorder_.axis(rule.outer, instance(rule.whole)));
          add(rule.inner, recorder_.axis(rule.inner, 0));
        } else {
          add(rule.whole, recorder_.axis(rule.whole, instance(rule.outer)));
        }
        break;
    }
  }
}

AxisId AxisScope::axis(const AxisInfo* info) const {
  const auto bound = bound_.find(info);
  return bound != bound_.end() ? bound->second : recorder_.axis(info, 0);
}

std::vector<AxisId> AxisScope::axes(const AxisList& list) const {
  std::vector<AxisId> ids;
  for (const AxisInfo* info : list) ids.push_back(axis(info));
  return ids;
}

AxisId AxisScope::stored(const Node& leaf, const AxisInfo* info) const {
  const auto of_leaf = of_leaf_.find(&leaf);
  if (of_leaf == of_leaf_.end()) return axis(info);
  const auto own = of_leaf->second.find(info);
  return own != of_leaf->second.end() ? own->second : axis(info);
}

ExtentRule AxisScope::rule(const Node& leaf, const NodeRule& rule) const {
  const auto id = [&](const AxisInfo* info) { return info != nullptr ? stored(leaf, info) : kNoAxis; };
  return {rule.kind, id(rule.whole), id(rule.outer), id(rule.inner), rule.begin, rule.count, rule.what};
}

}  // namespace weft

// Which axis of a graph each axis type stands for within one expression.
//
// Where layers differ in width, one axis type has several instances in a graph. Weights bring theirs: the first extent
// that a weight gives an axis is that of the axis itself, a weight of another extent has the next instance, and what is
// computed from it carries that on. Within one expression a type stands for one instance.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/expr/recorder.h"

namespace weft {

class AxisScope {
 public:
  // Throws Error, naming both, where two values or weights of the expression have different instances of an axis.
  AxisScope(Recorder& recorder, const NodePtr& expression);

  AxisId axis(const AxisInfo* info) const;
  std::vector<AxisId> axes(const AxisList& list) const;
  // An axis of the leaf's storage, or one that its views have in place of that.
  AxisId stored(const Node& leaf, const AxisInfo* info) const;
  ExtentRule rule(const Node& leaf, const NodeRule& rule) const;

 private:
  using Map = std::unordered_map<const AxisInfo*, AxisId>;
  void collect(const Node& node);
  Map own_axes(const Node& leaf) const;
  void bind(const AxisInfo* info, AxisId axis, const Node& leaf);
  void derive(const Node& leaf);

  Recorder& recorder_;
  std::unordered_set<const Node*> visited_;
  std::vector<const Node*> leaves_;
  std::unordered_map<const Node*, Map> of_leaf_;
  Map bound_;
  std::unordered_map<const AxisInfo*, const Node*> binder_;  // the leaf that an axis was first seen in
};

}  // namespace weft
